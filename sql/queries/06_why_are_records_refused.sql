-- Whose records are refused, why, and since when (last week)?
SELECT
    service,
    event_type,
    error_code,
    count() AS records,
    min(failed_at) AS first_at,
    max(failed_at) AS last_at,
    anyLast(reason) AS example
FROM telemetry.dead_letters
WHERE failed_at >= now() - INTERVAL 7 DAY
GROUP BY service, event_type, error_code
ORDER BY records DESC, service, event_type, error_code
