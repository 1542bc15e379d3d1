-- Has a twin in days of Europe/Paris.
CREATE OR REPLACE VIEW telemetry.customer_satisfaction_score
(
    day Date COMMENT 'Day of occurred_at, UTC',
    ratings UInt64 COMMENT 'Events of type satisfaction_rating',
    mean_rating Nullable(Float64) COMMENT 'Mean of the ratings, 1 to 5; NULL without any',
    nps_responses UInt64 COMMENT 'Events of type nps_response',
    promoters UInt64 COMMENT 'Those with score 9 or 10',
    detractors UInt64 COMMENT 'Those with score 0 to 6',
    nps Nullable(Float64) COMMENT '100 * (promoters - detractors) / nps_responses, -100 to 100; NULL without any'
)
-- Bucket i holds values in (b^i, b^(i+1)], b = 2^(1/32): beyond 8 begins bucket 96, 6 lies in bucket 82 and 7 in 89.
AS SELECT
    toDate(start, 'UTC') AS day,
    sumIf(p.count, metric = 'satisfaction_rating') AS ratings,
    sumIf(p.sum, metric = 'satisfaction_rating') / 1e6 / nullIf(ratings, 0) AS mean_rating,
    sumIf(p.count, metric = 'nps_response') AS nps_responses,
    sumIf(arraySum(mapValues(mapFilter((i, _) -> i >= 96, p.buckets))), metric = 'nps_response') AS promoters,
    sumIf(arraySum(mapValues(mapFilter((i, _) -> i <= 82, p.buckets))), metric = 'nps_response') AS detractors,
    100 * (toInt64(promoters) - toInt64(detractors)) / nullIf(nps_responses, 0) AS nps
FROM telemetry.panes AS p
WHERE metric IN ('satisfaction_rating', 'nps_response') AND count > 0
GROUP BY day
COMMENT 'What people say on each day, UTC: ratings from 1 to 5 and the net promoter score are two metrics and are never mixed. Fresh within a second; late events change closed days within a minute.'
