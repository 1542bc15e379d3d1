CREATE TABLE IF NOT EXISTS telemetry.stale_hours
(
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    hour DateTime('UTC') COMMENT 'Hour of occurred_at whose panes must be recomputed',
    marked_offset SimpleAggregateFunction(max, Int64) COMMENT 'Last record that made the hour stale, -1 in a clearing row',
    cleared_offset SimpleAggregateFunction(max, Int64) COMMENT 'Last record that a repair of the hour had read, -1 in a marking row'
)
ENGINE = AggregatingMergeTree
ORDER BY (kafka_partition, hour)
COMMENT 'Repair marks of the worker. An hour is stale while max(marked_offset) > max(cleared_offset), in whatever order the rows were written.'
