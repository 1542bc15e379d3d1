CREATE OR REPLACE VIEW telemetry.escalations
(
    incident_key String COMMENT 'One incident',
    event LowCardinality(String) COMMENT 'opened, step_due, repeated, acked, unacked, snoozed, reassigned, updated or resolved',
    step Nullable(Int32) COMMENT 'Step that came due, from 0',
    target Nullable(String) COMMENT 'Receiver that is to be told, NULL when nobody is',
    due_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the step was due',
    at DateTime64(3, 'UTC') COMMENT 'When it happened',
    escalation_id String COMMENT 'One event of the escalation',
    rule LowCardinality(String) COMMENT 'Name of the rule',
    severity LowCardinality(String) COMMENT 'critical, high, medium or low',
    actor String COMMENT 'Who acted; alerter for timers',
    command_id Nullable(String) COMMENT 'The command that was obeyed',
    reason String COMMENT 'Why',
    plan String COMMENT 'Steps to come, JSON',
    alert String COMMENT 'The alert as it was, JSON',
    group_key String COMMENT 'incident_key of the first incident of the group, its own when it is alone',
    notify Bool COMMENT 'Whether this event is told by itself; false when the message of another of the group tells it',
    members String COMMENT 'Incidents of the group when it was told of, worst first, at most 100, JSON',
    members_total UInt32 COMMENT 'Incidents of the group, listed or not',
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'End of a snooze'
)
AS SELECT
    incident_key, event, step, target, due_at, at, escalation_id, rule, severity, actor, command_id, reason, plan, alert,
    ifNull(group_key, incident_key) AS group_key, ifNull(notify, true) AS notify, members, members_total, until
FROM telemetry.escalations_raw FINAL
COMMENT 'Who was to be told about an incident and when, one row per event, from escalations.v1. Fresh within seconds.'
