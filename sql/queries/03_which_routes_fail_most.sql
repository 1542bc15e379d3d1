-- Which routes gave most people a 5xx over the last day, and how slow are they when they answer?
WITH slow AS
(
    SELECT labels['service'] AS service, labels['route'] AS route, max(p95_ms) AS p95_ms
    FROM telemetry.latency
    WHERE metric = 'api_request' AND window_s = 3600 AND window_start >= now() - INTERVAL 1 DAY AND labels['status_class'] = '2xx'
    GROUP BY service, route
)
SELECT
    labels['service'] AS service,
    labels['route'] AS route,
    sum(total) AS requests,
    sum(errors) AS failed,
    round(100 * failed / requests, 2) AS failed_percent,
    round(any(slow.p95_ms)) AS worst_hourly_p95_ms
FROM telemetry.error_rate AS rate
LEFT JOIN slow ON slow.service = rate.labels['service'] AND slow.route = rate.labels['route']
WHERE metric = 'api_request' AND window_s = 3600 AND window_start >= now() - INTERVAL 1 DAY
GROUP BY service, route
ORDER BY failed DESC, requests DESC, service, route
LIMIT 20
