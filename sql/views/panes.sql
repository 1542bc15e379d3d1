CREATE OR REPLACE VIEW telemetry.panes
(
    metric LowCardinality(String) COMMENT 'A name of the view metrics',
    labels Map(LowCardinality(String), String) COMMENT 'All labels of the metric; absent ones are empty',
    start DateTime64(3, 'UTC') COMMENT 'Start of the 10 s, a multiple of 10 s since 1970',
    source_partition UInt16 COMMENT 'Partition of events.v1 whose events are counted here',
    count UInt64 COMMENT 'Events',
    sum Int64 COMMENT 'Sum of the values in millionths, each rounded once; 0 for metrics without a value',
    buckets Map(Int16, UInt64) COMMENT 'Bucket i holds values in (b^i, b^(i+1)], b = 2^(1/32); -32768 holds values <= 0',
    last_offset Int64 COMMENT 'Offset of the last event in it',
    first_received_at DateTime64(3, 'UTC') COMMENT 'received_at of its first event',
    version UInt64 COMMENT '2 * last_offset from the fold, 2 * (offset read) + 1 from a repair'
)
AS SELECT
    metric, labels, start, source_partition, count, sum, buckets, last_offset, first_received_at, version
FROM telemetry.panes_raw FINAL
COMMENT 'Events per series and 10 s, the newest snapshot of each pane: add them over partitions and over time. Fresh within a second; a pane whose events were all moved or erased has count 0.'
