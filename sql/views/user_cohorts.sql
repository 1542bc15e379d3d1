-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.user_cohorts
(
    user_id String COMMENT 'Pseudonymised when a pepper is configured',
    cohort_day Date COMMENT 'The first day, UTC, on which the user was active',
    days Array(Date) COMMENT 'All of them, once each, ascending'
)
-- Grouping whole and taking copies out afterwards costs half of what groupUniqArray does.
AS SELECT user_id, days[1] AS cohort_day, arrayCompact(arraySort(groupArray(toDate(since, 'UTC')))) AS days
FROM telemetry.user_days_raw
GROUP BY user_id
COMMENT 'One row per user with all active days, UTC; retention is made of it. Fresh within a second; an earlier day that arrives late moves a user to another cohort.'
