CREATE OR REPLACE VIEW telemetry.feature_adoption
(
    period_end DateTime64(3, 'UTC') COMMENT 'The highest watermark: so far time has come',
    active_users UInt64 COMMENT 'Users active in the 28 * 24 h before it',
    menu_users UInt64 COMMENT 'Those with a menu_generated event, whatever its outcome',
    adoption_ratio Nullable(Float64) COMMENT 'menu_users / active_users, 0 to 1; NULL without active users'
)
AS WITH (SELECT max(watermark) FROM telemetry.partition_progress FINAL) AS highest_watermark
SELECT
    highest_watermark AS period_end, uniqExact(user_id) AS active_users, uniqExactIf(user_id, event_type = 'menu_generated') AS menu_users,
    menu_users / nullIf(active_users, 0) AS adoption_ratio
FROM telemetry.events
WHERE event_type IN ('menu_generated', 'recipe_view', 'recipe_save', 'recipe_share', 'satisfaction_rating', 'nps_response')
    AND user_id != '' AND schema_ok AND empty(bot_reasons)
    AND occurred_at > highest_watermark - toIntervalDay(28) AND occurred_at <= highest_watermark
COMMENT 'Share of the users active in the last 28 days who used menu generation: one row. Reads four weeks of events: not for every minute. Fresh within a second.'
