CREATE OR REPLACE VIEW telemetry.accepted_and_stored
(
    minute DateTime('UTC') COMMENT 'By the stamp of the broker, received_at',
    source String COMMENT 'The gateway that accepted them; it has a new id each time it connects to Kafka',
    accepted Nullable(UInt64) COMMENT 'Records Kafka acknowledged, as the gateway says once the minute is over; NULL while it has not, or was killed before it could',
    stored UInt64 COMMENT 'Of those: records whose event is in events, by this record or an earlier one with its event_id',
    dead_lettered UInt64 COMMENT 'Of those: records in dead_letters',
    repeated UInt64 COMMENT 'Of those: repeats that were recognised as such when they were read',
    missing Nullable(Int64) COMMENT 'accepted less the others; NULL until workers have read all of them, and where accepted is',
    missing_ratio Nullable(Float64) COMMENT 'missing / accepted'
)
AS SELECT minute, source, accepted, stored, dead_lettered, repeated, missing, missing_ratio
FROM telemetry.accepted_and_stored_at(end = toStartOfMinute(now64(3)) + INTERVAL 1 MINUTE, window_s = 86400)
COMMENT 'Is anything lost between the gateways and ClickHouse? What each gateway accepted in each minute of the last 24 hours, beside what became of it. Events written to Kafka by others are not in it. Fresh within a second; a minute is judged about 70 s after it began. Other periods: accepted_and_stored_at.'
