-- How long do people wait for a menu, hour by hour over the last day?
SELECT
    window_start AS hour,
    count AS menus,
    round(mean_ms) AS mean_ms,
    round(p50_ms) AS p50_ms,
    round(p95_ms) AS p95_ms,
    round(p99_ms) AS p99_ms
FROM telemetry.latency_total
WHERE metric = 'menu_generation' AND window_s = 3600 AND window_start >= now() - INTERVAL 1 DAY
ORDER BY hour
