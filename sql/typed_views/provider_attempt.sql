CREATE OR REPLACE VIEW telemetry.provider_attempt
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
    provider String COMMENT 'Property provider',
    position Nullable(Int64) COMMENT 'Property position; NULL when absent',
    outcome String COMMENT 'Property outcome: success, error, timeout, breaker_open, denied',
    latency_ms Nullable(Float64) COMMENT 'Property latency_ms; NULL when absent',
    error_type Nullable(String) COMMENT 'Property error_type; NULL when absent'
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
    JSONExtract(properties, 'provider', 'String') AS provider,
    JSONExtract(properties, 'position', 'Nullable(Int64)') AS position,
    JSONExtract(properties, 'outcome', 'String') AS outcome,
    JSONExtract(properties, 'latency_ms', 'Nullable(Float64)') AS latency_ms,
    JSONExtract(properties, 'error_type', 'Nullable(String)') AS error_type
FROM telemetry.events_raw FINAL
WHERE event_type = 'provider_attempt'
COMMENT 'Events of type provider_attempt, each once, with their properties as columns. One provider was asked for a menu, as number `position` of the chain, or was not because its breaker was open or it was denied. `position` and `latency_ms` are absent where the sender did not know them, as in the seed\'s menu_generation_success. Fresh within a second.';
