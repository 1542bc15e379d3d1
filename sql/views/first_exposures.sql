CREATE OR REPLACE VIEW telemetry.first_exposures
(
    subject String COMMENT 'user_id, else session_id',
    flag LowCardinality(String) COMMENT 'Feature flag',
    variant LowCardinality(String) COMMENT 'The variant shown first',
    first_at DateTime64(3, 'UTC') COMMENT 'occurred_at of that exposure; of two at one instant the smaller event_id is the first'
)
AS SELECT subject, flag, variant, first_at
FROM telemetry.first_exposures_raw FINAL
COMMENT 'What each subject was first shown of each flag; an earlier exposure that arrives late replaces it. Fresh within a second.'
