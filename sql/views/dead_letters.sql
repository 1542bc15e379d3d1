CREATE OR REPLACE VIEW telemetry.dead_letters
(
    kafka_topic LowCardinality(String) COMMENT 'Topic of the record that was refused',
    kafka_partition UInt16 COMMENT 'Its partition',
    kafka_offset UInt64 COMMENT 'Its offset',
    failed_at DateTime64(3, 'UTC') COMMENT 'When it was refused',
    error_code LowCardinality(String) COMMENT 'Stable word for the kind of error, such as unknown_event_type',
    reason String COMMENT 'What is wrong, field by field',
    event_id String COMMENT 'As far as it could be read, else empty',
    event_type String COMMENT 'As far as it could be read, else empty',
    service String COMMENT 'source.service as far as it could be read, else empty',
    sample String COMMENT 'The beginning of the record, redacted'
)
AS SELECT
    kafka_topic, kafka_partition, kafka_offset, failed_at, error_code, reason, event_id, event_type, service, sample
FROM telemetry.dead_letters_raw FINAL
COMMENT 'Records that are no events, one row each; the original bytes are on dlq.v1. Fresh within a second, kept 90 days.'
