CREATE TABLE IF NOT EXISTS telemetry.escalations_raw
(
    incident_key String COMMENT 'One incident',
    escalation_id String COMMENT 'One event of its escalation',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    severity LowCardinality(String) COMMENT 'critical, high, medium or low',
    event LowCardinality(String) COMMENT 'opened, step_due, acked, unacked, reassigned or resolved',
    step Nullable(Int32) COMMENT 'Step that came due, from 0',
    target Nullable(String) COMMENT 'Receiver that is to be told, NULL when nobody is',
    due_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the step was due',
    at DateTime64(3, 'UTC') COMMENT 'When it happened',
    actor String COMMENT 'Who acted; alerter for timers',
    command_id Nullable(String) COMMENT 'The command that was obeyed',
    reason String COMMENT 'Why',
    plan String COMMENT 'Steps to come, JSON',
    alert String COMMENT 'The alert as it was, JSON',
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(at))) COMMENT 'Highest for the first record of an event'
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (incident_key, escalation_id)
COMMENT 'Archive of escalations.v1: read the view escalations instead.'
