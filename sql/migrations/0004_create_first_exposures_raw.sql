CREATE TABLE IF NOT EXISTS telemetry.first_exposures_raw
(
    subject String COMMENT 'user_id, else session_id',
    flag LowCardinality(String) COMMENT 'Feature flag',
    first_at DateTime64(3, 'UTC') COMMENT 'occurred_at of the exposure',
    event_id UUID COMMENT 'Decides between exposures at the same instant: the smaller is the first',
    variant LowCardinality(String) COMMENT 'What was shown',
    -- The complement of (first_at, event_id): ReplacingMergeTree keeps the highest, which then is the first exposure.
    precedence UInt256 MATERIALIZED bitNot(bitOr(
        bitShiftLeft(toUInt256(toUnixTimestamp64Milli(first_at)), 128), toUInt256(toUInt128(event_id)))) COMMENT 'Highest for the first'
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (flag, subject)
COMMENT 'Candidates for the first exposure of a subject to a flag: read the view first_exposures instead.'
