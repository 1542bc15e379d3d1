-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.retention_weekly
(
    cohort_week Date COMMENT 'Monday, UTC, of the week in which these users were first active',
    week_n UInt8 COMMENT '0 to 12: so many weeks after it',
    cohort_size UInt64 COMMENT 'Users of the cohort',
    retained UInt64 COMMENT 'Those who were active on any day of that week; all of them in week 0',
    ratio Nullable(Float64) COMMENT 'retained / cohort_size, 0 to 1; NULL until mature',
    mature Bool COMMENT 'That week has ended at the highest watermark: only late events can still change the row'
)
AS WITH (SELECT max(watermark) FROM telemetry.partition_progress FINAL) AS highest_watermark
SELECT
    cohort_week, week_n, retained_by_n[1] AS cohort_size, retained, if(mature, retained / cohort_size, NULL) AS ratio,
    toDateTime(cohort_week + 7 * (week_n + 1), 'UTC') <= highest_watermark AS mature
FROM
(
    SELECT cohort_week, countResample(0, 13, 1)(week) AS retained_by_n
    FROM
    (
        SELECT toMonday(cohort_day) AS cohort_week, arrayCompact(arrayMap(day -> toUInt16(intDiv(day - cohort_week, 7)), days)) AS weeks
        FROM telemetry.user_cohorts
    )
    ARRAY JOIN weeks AS week
    GROUP BY cohort_week
)
ARRAY JOIN range(13) AS week_n, retained_by_n AS retained
COMMENT 'Of the users first active in a week from Monday to Sunday, UTC, how many were active n weeks later; every n from 0 to 12 of every cohort, zeros included. Not what the seed calls D7: that is user_retention_7d. Fresh within a second; late events change closed rows.'
