-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.user_satisfaction
(
    day Date COMMENT 'A day, UTC, with ratings: the last of the 30',
    ratings UInt64 COMMENT 'Events of type satisfaction_rating in the 30 days that end with it',
    mean_rating Float64 COMMENT 'Their mean, 1 to 5'
)
AS SELECT
    day, sum(daily.ratings) OVER month_long AS ratings, sum(daily.mean_rating * daily.ratings) OVER month_long / ratings AS mean_rating
FROM telemetry.customer_satisfaction_score AS daily
WHERE daily.ratings > 0
WINDOW month_long AS (ORDER BY day RANGE BETWEEN 29 PRECEDING AND CURRENT ROW)
COMMENT 'Mean satisfaction over 30 days, UTC; with fewer than 30 ratings it says little. Fresh within a second; late events change closed days within a minute.'
