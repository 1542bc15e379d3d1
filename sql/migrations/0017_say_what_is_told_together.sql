ALTER TABLE telemetry.escalations_raw
    ADD COLUMN IF NOT EXISTS group_key Nullable(String) COMMENT 'incident_key of the first incident of the group, NULL before there were groups',
    ADD COLUMN IF NOT EXISTS notify Nullable(Bool) COMMENT 'Whether this event is told by itself and not within its group, NULL before there were groups',
    ADD COLUMN IF NOT EXISTS members String COMMENT 'Incidents of the group when it was told of, worst first, at most 100, JSON',
    ADD COLUMN IF NOT EXISTS members_total UInt32 COMMENT 'Incidents of the group, listed or not',
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) COMMENT 'End of a snooze',
    COMMENT COLUMN event 'opened, step_due, repeated, acked, unacked, snoozed, reassigned or resolved'
