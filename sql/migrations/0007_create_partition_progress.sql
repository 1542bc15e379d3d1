CREATE TABLE IF NOT EXISTS telemetry.partition_progress
(
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    position UInt64 COMMENT 'Everything below this offset has had its effects; the highest wins',
    watermark DateTime64(3, 'UTC') COMMENT 'Highest min(occurred_at, received_at) below position; 1970 before the first event',
    at DateTime64(3, 'UTC') COMMENT 'When this row was written'
)
ENGINE = ReplacingMergeTree(position)
ORDER BY kafka_partition
COMMENT 'How far the worker has come in each partition of events.v1; read with FINAL. Written with every flush that read something.'
