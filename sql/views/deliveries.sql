CREATE OR REPLACE VIEW telemetry.deliveries
(
    incident_key String COMMENT 'One incident',
    receiver LowCardinality(String) COMMENT 'Who is told',
    intent_at DateTime64(3, 'UTC') COMMENT 'When the notifier set out to deliver it',
    outcome LowCardinality(String) COMMENT 'intended, retrying, delivered, rejected, gave_up, failed_over or stale',
    attempt UInt32 COMMENT '0 for the intent, then 1, 2, …',
    at DateTime64(3, 'UTC') COMMENT 'When this outcome was known',
    delivery_id String COMMENT 'One notification of one receiver',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    action LowCardinality(String) COMMENT 'trigger, acknowledge, resolve or update',
    step Nullable(Int32) COMMENT 'Step of the escalation',
    http_status Nullable(UInt16) COMMENT 'The receiver''s answer, NULL when none came',
    reason String COMMENT 'One line without addresses or secrets',
    resent Bool COMMENT 'An earlier process may already have sent it',
    group_key String COMMENT 'Group the message is about: incident_key of its first incident',
    failover Nullable(String) COMMENT 'Receiver that is told instead, or for which this one stands in',
    message_ref Nullable(String) COMMENT 'Where the message is, in the receiver''s own terms'
)
AS SELECT
    incident_key, receiver, intent_at, outcome, attempt, at, delivery_id, rule, action, step, http_status, reason, resent,
    ifNull(group_key, incident_key) AS group_key, failover, message_ref
FROM telemetry.deliveries_raw FINAL
COMMENT 'What became of each notification, one row per intent and per outcome, from deliveries.v1. Fresh within seconds.'
