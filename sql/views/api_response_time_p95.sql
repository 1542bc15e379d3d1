CREATE OR REPLACE VIEW telemetry.api_response_time_p95
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    route String COMMENT 'Path template',
    requests UInt64 COMMENT 'Requests in [window_start, window_start + window_s)',
    p95_ms Float64 COMMENT 'The duration of rank ceil(0.95 * requests), at most 1.1 % off'
)
AS WITH arrayFirstIndex(rank -> rank >= intDiv(95 * requests + 99, 100), arrayCumSum(mapValues(buckets))) AS place
SELECT
    window_start, window_s, route, arraySum(mapValues(buckets)) AS requests,
    if(mapKeys(buckets)[place] = -32768, 0, exp2((mapKeys(buckets)[place] + 0.5) / 32)) AS p95_ms
FROM
(
    SELECT window_start, window_s, labels['route'] AS route, sumMap(w.buckets) AS buckets
    FROM telemetry.pane_windows AS w
    WHERE metric = 'api_request'
    GROUP BY window_start, window_s, route
)
WHERE requests > 0
COMMENT 'p95 of each route over all services and answers, in aligned windows. Always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
