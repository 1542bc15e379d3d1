-- How often do menus fail, hour by hour over the last day, and whose fault is it?
SELECT
    window_start AS hour,
    labels['provider'] AS provider,
    total AS menus,
    errors AS failed,
    round(100 * error_ratio, 2) AS failed_percent
FROM telemetry.error_rate
WHERE metric = 'menu_generation' AND window_s = 3600 AND window_start >= now() - INTERVAL 1 DAY
ORDER BY hour, failed DESC, provider
