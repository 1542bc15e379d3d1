-- Of the incidents of the last month: how fast was somebody told, how fast did somebody act, how long did they last?
WITH
    fired AS
    (
        SELECT incident_key, any(rule) AS rule, any(severity) AS severity, minIf(at, state = 'firing') AS fired_at,
            maxIf(at, state = 'resolved') AS resolved_at
        FROM telemetry.alerts
        GROUP BY incident_key
        HAVING fired_at >= now() - INTERVAL 30 DAY
    ),
    told AS
    (
        SELECT incident_key, min(at) AS told_at
        FROM telemetry.deliveries
        WHERE outcome = 'delivered' AND action = 'trigger'
        GROUP BY incident_key
    ),
    acted AS
    (
        SELECT incident_key, min(at) AS acked_at, argMin(actor, at) AS acked_by
        FROM telemetry.escalations
        WHERE event = 'acked'
        GROUP BY incident_key
    )
SELECT
    fired.rule AS rule,
    fired.severity AS severity,
    fired.fired_at AS fired_at,
    if(told.incident_key = '', NULL, dateDiff('millisecond', fired.fired_at, told.told_at)) AS told_after_ms,
    if(acted.incident_key = '', NULL, dateDiff('millisecond', fired.fired_at, acted.acked_at)) AS acked_after_ms,
    acted.acked_by AS acked_by,
    if(fired.resolved_at < fired.fired_at, NULL, dateDiff('second', fired.fired_at, fired.resolved_at)) AS lasted_s
FROM fired
LEFT JOIN told ON told.incident_key = fired.incident_key
LEFT JOIN acted ON acted.incident_key = fired.incident_key
ORDER BY fired_at DESC
