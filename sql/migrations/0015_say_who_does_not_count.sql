ALTER TABLE telemetry.events_raw
    ADD COLUMN IF NOT EXISTS bot_reasons Array(LowCardinality(String))
        COMMENT 'Why the event is a bot''s, empty for everybody else; a bot is in no business metric and no fact',
    ADD COLUMN IF NOT EXISTS clock_skew_ms Int64
        COMMENT 'Added to occurred_at because the sender''s clock was wrong: how far it was behind, negative when ahead; 0 when it was believed',
    ADD COLUMN IF NOT EXISTS schema_errors Array(String)
        COMMENT 'How the properties break the schema, where the type is not enforced; such an event is in no metric and no fact',
    ADD COLUMN IF NOT EXISTS schema_ok Bool MATERIALIZED empty(schema_errors)
        COMMENT 'Whether the properties keep to the schema'
