CREATE TABLE IF NOT EXISTS telemetry.accepted_runs
(
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    first_offset UInt64 COMMENT 'First of consecutive records that one gateway published together',
    last_offset UInt64 COMMENT 'Last of them',
    received_at DateTime64(3, 'UTC') COMMENT 'When the broker appended them',
    accepted_by LowCardinality(String) COMMENT 'The gateway, by the id that its accepted_count events have as source',
    repeated Array(UInt64) COMMENT 'Offsets of those that have no row of their own: repeats, and records forwarded to their own partition',
    dead_lettered Array(UInt64) COMMENT 'Offsets of those that were refused',
    INDEX received_at_range received_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (kafka_partition, first_offset, last_offset)
TTL toDateTime(received_at) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Which gateway accepted which records, as far as workers have read: a row per batch, cut differently when it is read again, so offsets count once. The others of a run are in events_raw, or something was lost: accepted_and_stored tells. Kept 30 days.'
