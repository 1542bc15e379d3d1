CREATE OR REPLACE VIEW telemetry.queue_job
(
    event_id UUID COMMENT 'Given by the sender or by the gateway; each id is here once, its first copy',
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
    kafka_partition UInt16 COMMENT 'Partition of events.v1',
    kafka_offset UInt64 COMMENT 'Offset in that partition',
    time_clamped Bool COMMENT 'occurred_at is not what the sender said',
    source_name LowCardinality(String) COMMENT 'The name the event was sent under, empty when that was its own',
    queue String COMMENT 'Property queue',
    job_id String COMMENT 'Property job_id',
    attempt Int64 COMMENT 'Property attempt',
    outcome String COMMENT 'Property outcome: started, retried, completed, exhausted',
    wait_ms Nullable(Float64) COMMENT 'Property wait_ms; NULL when absent',
    duration_ms Nullable(Float64) COMMENT 'Property duration_ms; NULL when absent'
)
AS SELECT
    event_id,
    event_type,
    occurred_at,
    received_at,
    service,
    version,
    environment,
    user_id,
    session_id,
    trace_id,
    flags,
    kafka_partition,
    kafka_offset,
    time_clamped,
    source_name,
    JSONExtract(properties, 'queue', 'String') AS queue,
    JSONExtract(properties, 'job_id', 'String') AS job_id,
    JSONExtract(properties, 'attempt', 'Int64') AS attempt,
    JSONExtract(properties, 'outcome', 'String') AS outcome,
    JSONExtract(properties, 'wait_ms', 'Nullable(Float64)') AS wait_ms,
    JSONExtract(properties, 'duration_ms', 'Nullable(Float64)') AS duration_ms
FROM telemetry.events_raw FINAL
WHERE event_type = 'queue_job'
COMMENT 'Events of type queue_job, each once, with their properties as columns. One attempt of a job began or ended: exhausted is the last one that failed. `wait_ms` before it, `duration_ms` of it. Fresh within a second.';
