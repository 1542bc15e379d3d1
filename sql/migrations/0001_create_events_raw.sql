CREATE TABLE IF NOT EXISTS telemetry.events_raw
(
    event_id UUID COMMENT 'Given by the sender or by the gateway; the first copy of an id wins',
    event_type LowCardinality(String) COMMENT 'Canonical name, such as menu_generated',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened; received_at where the sender was more than 10 min ahead of it (time_clamped)',
    received_at DateTime64(3, 'UTC') COMMENT 'When the broker appended it to events.v1',
    service LowCardinality(String) COMMENT 'source.service',
    version LowCardinality(String) COMMENT 'source.version, empty when absent',
    environment LowCardinality(String) COMMENT 'source.environment',
    user_id String COMMENT 'Pseudonymised when a pepper is configured, empty when absent',
    session_id String COMMENT 'Empty when absent',
    trace_id String COMMENT 'W3C trace id, empty when absent',
    flags Map(String, String) COMMENT 'Feature flag to variant, as the sender had them',
    properties String COMMENT 'JSON object with sorted keys',
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    kafka_offset UInt64 COMMENT 'Offset in that partition',
    time_clamped Bool COMMENT 'occurred_at is not what the sender said, sent_at is',
    source_name LowCardinality(String) COMMENT 'The name the event was sent under, empty when that was its own',
    sent_at DateTime64(3, 'UTC') COMMENT 'occurred_at as the sender said it',
    content_hash UInt64 COMMENT 'Of event_type, sent_at, user_id and properties; another one under the same event_id is a conflict',
    -- The first copy must win, and ReplacingMergeTree keeps the highest: so the complement of (received_at, partition, offset).
    precedence UInt128 MATERIALIZED bitNot(bitOr(
        bitShiftLeft(toUInt128(toUnixTimestamp64Milli(received_at)), 80),
        bitOr(bitShiftLeft(toUInt128(kafka_partition), 64), toUInt128(kafka_offset)))) COMMENT 'Highest for the first copy',
    INDEX occurred_at_range occurred_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(received_at)
-- Only what the client sent: two copies of an event must meet, whenever each of them was received.
ORDER BY (event_type, toStartOfHour(sent_at), event_id)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Every event that counted, with copies until they merge: read the view events instead. Fresh within a second. A month is dropped once all of it is older than 90 days.'
