-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.monthly_active_users
(
    day Date COMMENT 'Day, UTC; every one from the first with an active user to that of the highest watermark',
    active_users UInt64 COMMENT 'Users active in the 28 days that end with it',
    active_users_in_month UInt64 COMMENT 'Users active from the first of its calendar month on; the whole month on its last day',
    mature Bool COMMENT 'The day has ended at the highest watermark: only late events can still change the row'
)
AS WITH (SELECT max(watermark) FROM telemetry.partition_progress FINAL) AS highest_watermark
SELECT
    day, toUInt64(sum(sum(step)) OVER (ORDER BY day)) AS active_users,
    toUInt64(sum(sum(is_first_in_month)) OVER (PARTITION BY toStartOfMonth(day) ORDER BY day)) AS active_users_in_month,
    toDateTime(day + 1, 'UTC') <= highest_watermark AS mature
FROM
(
    -- An active day makes a user one of the 28 days that begin with it: he comes in when the one before is further back, and goes out
    -- after the last when the next is further on.
    SELECT change.1 AS day, change.2 AS step, change.3 AS is_first_in_month
    FROM
    (
        SELECT days, arrayPopBack(arrayPushFront(days, toDate(0))) AS previous, arrayPushBack(arrayPopFront(days), toDate(65535)) AS next
        FROM telemetry.user_cohorts
    )
    ARRAY JOIN arrayConcat(
        arrayMap(d -> (d, 1, 0), arrayFilter((d, before) -> d > before + 28, days, previous)),
        arrayMap(d -> (d + 28, -1, 0), arrayFilter((d, after) -> after > d + 28, days, next)),
        arrayMap(d -> (d, 0, 1), arrayFilter((d, before) -> toStartOfMonth(d) != toStartOfMonth(before), days, previous))
    ) AS change
    UNION ALL
    SELECT
        arrayJoin(arrayMap(n -> first_day + n, range(toUInt32(greatest(0, toDate(highest_watermark, 'UTC') - first_day + 1))))) AS day,
        0 AS step, 0 AS is_first_in_month
    FROM (SELECT min(toDate(since, 'UTC')) AS first_day FROM telemetry.user_days_raw HAVING count() > 0)
)
WHERE day <= toDate(highest_watermark, 'UTC')
GROUP BY day
COMMENT 'Distinct active users of 28 days and of the calendar month so far, on every day, UTC. Fresh within a second; late events change closed days.'
