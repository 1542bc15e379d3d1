CREATE TABLE IF NOT EXISTS telemetry.user_days_raw
(
    user_id String COMMENT 'Who was active',
    -- Days in Paris begin at 22:00 or 23:00 UTC: a part of a UTC day lies within one of them.
    since DateTime('UTC') COMMENT 'Begin of the part of the UTC day: 00:00, 22:00 or 23:00'
)
ENGINE = ReplacingMergeTree
ORDER BY (user_id, since)
COMMENT 'Parts of days in which users were active, with copies until they merge: read the views user_days and user_days_paris instead. Fresh within a second; outlives the events.'
