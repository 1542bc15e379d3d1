-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.recipe_interactions_daily
(
    day Date COMMENT 'Day of occurred_at, UTC',
    views UInt64 COMMENT 'Events of type recipe_view',
    saves UInt64 COMMENT 'Events of type recipe_save',
    shares UInt64 COMMENT 'Events of type recipe_share',
    save_ratio Nullable(Float64) COMMENT 'saves / views; NULL without views',
    share_ratio Nullable(Float64) COMMENT 'shares / views; NULL without views'
)
AS SELECT
    toDate(start, 'UTC') AS day, sumIf(count, labels['action'] = 'view') AS views, sumIf(count, labels['action'] = 'save') AS saves,
    sumIf(count, labels['action'] = 'share') AS shares, saves / nullIf(views, 0) AS save_ratio, shares / nullIf(views, 0) AS share_ratio
FROM telemetry.panes
WHERE metric = 'recipe_interaction' AND count > 0
GROUP BY day
COMMENT 'What people did with recipes on each day, UTC, only where there are events; repeats and bots do not count. Fresh within a second; late events change closed days within a minute.'
