CREATE OR REPLACE VIEW telemetry.avg_generation_time
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    menus UInt64 COMMENT 'Menus with outcome full in [window_start, window_start + window_s)',
    mean_ms Float64 COMMENT 'Sum of their durations / menus',
    p95_ms Float64 COMMENT 'The duration of rank ceil(0.95 * menus), at most 1.1 % off'
)
AS WITH arrayFirstIndex(rank -> rank >= intDiv(95 * menus + 99, 100), arrayCumSum(mapValues(buckets))) AS place
SELECT
    window_start, window_s, arraySum(mapValues(buckets)) AS menus, sum / 1e6 / menus AS mean_ms,
    if(mapKeys(buckets)[place] = -32768, 0, exp2((mapKeys(buckets)[place] + 0.5) / 32)) AS p95_ms
FROM
(
    SELECT window_start, window_s, sum(w.sum) AS sum, sumMap(w.buckets) AS buckets
    FROM telemetry.pane_windows AS w
    WHERE metric = 'menu_generation' AND labels['outcome'] = 'full'
    GROUP BY window_start, window_s
)
WHERE menus > 0
COMMENT 'How long full menus took, over all providers, in aligned windows; degraded and failed ones are in latency. Always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
