CREATE TABLE IF NOT EXISTS telemetry.panes_raw
(
    metric LowCardinality(String) COMMENT 'A name of the view metrics',
    labels Map(LowCardinality(String), String) COMMENT 'All labels of the metric; absent ones are empty',
    start DateTime64(3, 'UTC') COMMENT 'Start of the 10 s, a multiple of 10 s since 1970',
    source_partition UInt16 COMMENT 'Partition of events.v1 whose records are counted here',
    count UInt64 COMMENT 'Events',
    sum Int64 COMMENT 'Sum of the values in millionths, each rounded once; 0 for metrics without a value',
    buckets Map(Int16, UInt64) COMMENT 'Bucket i holds values in (b^i, b^(i+1)], b = 2^(1/32); -32768 holds values <= 0',
    last_offset Int64 COMMENT 'Offset of the last record in it',
    first_received_at DateTime64(3, 'UTC') COMMENT 'received_at of its first record',
    version UInt64 COMMENT '2 * last_offset from the fold, 2 * (offset read) + 1 from a repair; the highest wins',
    labels_key String MATERIALIZED toJSONString(mapSort(labels)) COMMENT 'The labels in one order, so that they can be compared'
)
ENGINE = ReplacingMergeTree(version)
-- Not by start: one late flush may touch a hundred months.
PARTITION BY toYYYYMM(first_received_at)
ORDER BY (metric, start, labels_key, source_partition)
TTL toDateTime(first_received_at) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Snapshots of panes, with superseded ones until they merge: read the view panes instead. Kept 400 days after first_received_at.'
