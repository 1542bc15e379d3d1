CREATE TABLE IF NOT EXISTS telemetry.counted_events
(
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    kafka_offset UInt64 COMMENT 'Offset of the record that counted',
    event_id UUID COMMENT 'Its event id',
    content_hash UInt64 COMMENT 'As in events_raw',
    received_at DateTime64(3, 'UTC') COMMENT 'When the broker appended it'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (kafka_partition, kafka_offset)
TTL toDateTime(received_at) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'The repeat window: a worker loads the last 200,000 offsets of each partition it is given. Kept 30 days; what repeats later is found when its hour is recomputed.'
