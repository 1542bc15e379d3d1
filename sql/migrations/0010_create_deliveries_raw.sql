CREATE TABLE IF NOT EXISTS telemetry.deliveries_raw
(
    incident_key String COMMENT 'One incident',
    delivery_id String COMMENT 'One notification of one receiver',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    receiver LowCardinality(String) COMMENT 'Who is told',
    action LowCardinality(String) COMMENT 'trigger, acknowledge or resolve',
    step Nullable(Int32) COMMENT 'Step of the escalation',
    intent_at DateTime64(3, 'UTC') COMMENT 'When the notifier set out to deliver it',
    outcome LowCardinality(String) COMMENT 'intended, retrying, delivered, rejected, gave_up or stale',
    attempt UInt32 COMMENT '0 for the intent, then 1, 2, …',
    at DateTime64(3, 'UTC') COMMENT 'When this outcome was known',
    http_status Nullable(UInt16) COMMENT 'The receiver''s answer, NULL when none came',
    reason String COMMENT 'One line without addresses or secrets',
    resent Bool COMMENT 'An earlier process may already have sent it',
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(at))) COMMENT 'Highest for the first record of an outcome'
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (incident_key, delivery_id, attempt, outcome)
COMMENT 'Archive of deliveries.v1: read the view deliveries instead.'
