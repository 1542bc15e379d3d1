-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.user_retention_7d
(
    cohort_day Date COMMENT 'The first day, UTC, on which these users were active',
    cohort_size UInt64 COMMENT 'Users of the cohort',
    retained UInt64 COMMENT 'Those who were active on the seventh day after it',
    ratio Nullable(Float64) COMMENT 'retained / cohort_size, 0 to 1; NULL until mature',
    mature Bool COMMENT 'The seventh day has ended at the highest watermark'
)
AS SELECT cohort_day, cohort_size, retained, ratio, mature
FROM telemetry.retention
WHERE day_n = 7
COMMENT 'D7: of the users first active on a day, UTC, how many were active exactly seven days later. Fresh within a second; late events change closed rows.'
