-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.menus_generated_daily
(
    day Date COMMENT 'Day of occurred_at, UTC',
    menus UInt64 COMMENT 'Menus that were generated: full and degraded',
    full UInt64 COMMENT 'Those with outcome full',
    degraded UInt64 COMMENT 'Those with outcome degraded: a fallback made them',
    failed UInt64 COMMENT 'Attempts with outcome failed; they are no menus'
)
AS SELECT
    toDate(start, 'UTC') AS day, full + degraded AS menus, sumIf(count, labels['outcome'] = 'full') AS full,
    sumIf(count, labels['outcome'] = 'degraded') AS degraded, sumIf(count, labels['outcome'] = 'failed') AS failed
FROM telemetry.panes
WHERE metric = 'menu_generation' AND count > 0
GROUP BY day
COMMENT 'Menus generated on each day, UTC, only where there are events; repeats and bots do not count. Fresh within a second; late events change closed days within a minute.'
