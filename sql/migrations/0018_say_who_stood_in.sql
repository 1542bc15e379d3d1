ALTER TABLE telemetry.deliveries_raw
    ADD COLUMN IF NOT EXISTS group_key Nullable(String) COMMENT 'Group the message is about, NULL before there were groups',
    ADD COLUMN IF NOT EXISTS failover Nullable(String) COMMENT 'Receiver that is told instead, or for which this one stands in',
    ADD COLUMN IF NOT EXISTS message_ref Nullable(String) COMMENT 'Where the message is, in the receiver''s own terms',
    COMMENT COLUMN action 'trigger, acknowledge, resolve or update',
    COMMENT COLUMN outcome 'intended, retrying, delivered, rejected, gave_up, failed_over or stale'
