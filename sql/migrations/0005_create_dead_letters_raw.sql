CREATE TABLE IF NOT EXISTS telemetry.dead_letters_raw
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
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(failed_at)
ORDER BY (kafka_topic, kafka_partition, kafka_offset)
TTL toDateTime(failed_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Refused records, the same one perhaps several times: read the view dead_letters instead. Kept 90 days.'
