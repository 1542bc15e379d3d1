-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.nutrition_accuracy_daily
(
    day Date COMMENT 'Day of occurred_at, UTC',
    provider String COMMENT 'Who made the menu, empty when it was not said',
    scores UInt64 COMMENT 'Events of type nutrition_accuracy',
    mean_accuracy Float64 COMMENT 'Mean of accuracy_score, 0 to 1'
)
AS SELECT toDate(start, 'UTC') AS day, labels['provider'] AS provider, sum(p.count) AS scores, sum(p.sum) / 1e6 / scores AS mean_accuracy
FROM telemetry.panes AS p
WHERE metric = 'nutrition_accuracy' AND count > 0
GROUP BY day, provider
COMMENT 'How right the nutrition facts of menus were on each day, UTC, by provider; the events themselves are in nutrition_accuracy. Fresh within a second; late events change closed days within a minute.'
