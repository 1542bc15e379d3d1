-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.retention_within
(
    cohort_day Date COMMENT 'The first day, UTC, on which these users were active',
    within_days UInt8 COMMENT '1 to 30: so many days after cohort_day are looked at',
    cohort_size UInt64 COMMENT 'Users of the cohort',
    retained UInt64 COMMENT 'Those who were active again on any of these days; cohort_day itself is none of them',
    ratio Nullable(Float64) COMMENT 'retained / cohort_size, 0 to 1; NULL until mature',
    mature Bool COMMENT 'The last of these days has ended at the highest watermark: only late events can still change the row'
)
AS WITH (SELECT max(watermark) FROM telemetry.partition_progress FINAL) AS highest_watermark
SELECT
    cohort_day, within_days, cohort_size, retained, if(mature, retained / cohort_size, NULL) AS ratio,
    toDateTime(cohort_day + within_days + 1, 'UTC') <= highest_watermark AS mature
FROM
(
    SELECT
        cohort_day, count() AS cohort_size,
        arrayCumSum(countResampleIf(1, 31, 1)(toUInt16(days[2] - cohort_day), length(days) > 1)) AS retained_by_n
    FROM telemetry.user_cohorts
    GROUP BY cohort_day
)
ARRAY JOIN range(1, 31) AS within_days, retained_by_n AS retained
COMMENT 'Of the users first active on a day, UTC, how many came back within n days; every n from 1 to 30 of every cohort, zeros included. Fresh within a second; late events change closed rows.'
