-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.conversion_signup_to_first_menu
(
    signup_day Date COMMENT 'Day, UTC, of the first user_signed_up of these users',
    signed_up UInt64 COMMENT 'Users who signed up',
    converted UInt64 COMMENT 'Those with a menu, full or degraded, after that instant and within 7 * 24 h of it',
    ratio Nullable(Float64) COMMENT 'converted / signed_up, 0 to 1; NULL until mature',
    mature Bool COMMENT 'The last of them has had 7 * 24 h at the highest watermark'
)
AS WITH assumeNotNull((SELECT max(watermark) FROM telemetry.partition_progress FINAL)) AS highest_watermark
SELECT
    toDate(signed_up_at, 'UTC') AS signup_day, count() AS signed_up,
    countIf(menu_at > signed_up_at AND menu_at < signed_up_at + toIntervalHour(168)) AS converted,
    if(mature, converted / signed_up, NULL) AS ratio,
    toDateTime(signup_day + 1, 'UTC') + toIntervalHour(168) <= highest_watermark AS mature
FROM
(
    SELECT user_id, min(occurred_at) AS signed_up_at
    FROM telemetry.user_signed_up WHERE user_id != '' AND empty(bot_reasons)
    GROUP BY user_id
) AS signups
ASOF LEFT JOIN
(
    SELECT user_id, occurred_at AS menu_at
    FROM telemetry.menu_generated WHERE user_id != '' AND empty(bot_reasons) AND outcome != 'failed'
) AS menus ON signups.user_id = menus.user_id AND signups.signed_up_at < menus.menu_at
GROUP BY signup_day
COMMENT 'Of the users who signed up on a day, UTC, how many got their first menu within a week, in that order. Fresh within a second; reaches as far back as the events, 90 days.'
