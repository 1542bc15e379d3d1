-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.recipes_viewed_daily
(
    day Date COMMENT 'Day of occurred_at, UTC',
    views UInt64 COMMENT 'Events of type recipe_view, under whatever name they were sent'
)
AS SELECT toDate(start, 'UTC') AS day, sum(count) AS views
FROM telemetry.panes
WHERE metric = 'recipe_interaction' AND labels['action'] = 'view' AND count > 0
GROUP BY day
COMMENT 'Recipes viewed on each day, UTC, only where there are events; repeats and bots do not count. Fresh within a second; late events change closed days within a minute.'
