CREATE OR REPLACE VIEW telemetry.feature_performance
(
    event_id UUID COMMENT 'Given by the sender or by the gateway; each id is here once, its first copy',
    event_type LowCardinality(String) COMMENT 'Canonical name, such as menu_generated',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened, by a clock put right (clock_skew_ms); received_at where that is more than 10 min earlier (time_clamped)',
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
    time_clamped Bool COMMENT 'occurred_at is not what the sender said: another clock, or received_at',
    source_name LowCardinality(String) COMMENT 'The name the event was sent under, empty when that was its own',
    bot_reasons Array(LowCardinality(String)) COMMENT 'Why it is a bot\'s, and so in no business metric; empty for everybody else',
    clock_skew_ms Int64 COMMENT 'Added to occurred_at: how far the sender\'s clock was behind, negative when ahead; 0 when believed',
    flag String COMMENT 'Property flag',
    variant String COMMENT 'Property variant',
    duration_ms Float64 COMMENT 'Property duration_ms'
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
    bot_reasons,
    clock_skew_ms,
    JSONExtract(properties, 'flag', 'String') AS flag,
    JSONExtract(properties, 'variant', 'String') AS variant,
    JSONExtract(properties, 'duration_ms', 'Float64') AS duration_ms
FROM telemetry.events_raw FINAL
WHERE event_type = 'feature_performance' AND schema_ok
COMMENT 'Events of type feature_performance, each once, with their properties as columns. How long `variant` of `flag` took in the browser, from start to end as it measures itself. Fresh within a second.';
