-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.retention
(
    cohort_day Date COMMENT 'The first day, UTC, on which these users were active',
    day_n UInt8 COMMENT '0 to 30: so many days after cohort_day',
    cohort_size UInt64 COMMENT 'Users of the cohort',
    retained UInt64 COMMENT 'Those who were active on that very day; all of them on day 0',
    ratio Nullable(Float64) COMMENT 'retained / cohort_size, 0 to 1; NULL until mature',
    mature Bool COMMENT 'That day has ended at the highest watermark: only late events can still change the row'
)
AS WITH (SELECT max(watermark) FROM telemetry.partition_progress FINAL) AS highest_watermark
SELECT
    cohort_day, day_n, retained_by_n[1] AS cohort_size, retained, if(mature, retained / cohort_size, NULL) AS ratio,
    toDateTime(cohort_day + day_n + 1, 'UTC') <= highest_watermark AS mature
FROM
(
    SELECT cohort_day, countResample(0, 31, 1)(toUInt16(day - cohort_day)) AS retained_by_n
    FROM telemetry.user_cohorts ARRAY JOIN days AS day
    GROUP BY cohort_day
)
ARRAY JOIN range(31) AS day_n, retained_by_n AS retained
COMMENT 'Of the users first active on a day, UTC, how many were active n days later; every n from 0 to 30 of every cohort, zeros included. Fresh within a second; late events change closed rows.'
