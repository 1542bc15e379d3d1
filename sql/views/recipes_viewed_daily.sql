-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.recipes_viewed_daily
(
    day Date COMMENT 'Day of occurred_at, UTC',
    views UInt64 COMMENT 'Events of type recipe_view, under whatever name they were sent'
)
AS SELECT day, views FROM telemetry.recipe_interactions_daily WHERE views > 0
COMMENT 'Recipes viewed on each day, UTC, only where there are events; repeats and bots do not count. Fresh within a second; late events change closed days within a minute.'
