-- Is anything lost between the gateways and ClickHouse (last day, newest hour first)?
SELECT
    toStartOfHour(minutes.minute) AS hour,
    sumIf(minutes.accepted, minutes.missing IS NOT NULL) AS judged,
    sum(minutes.missing) AS missing,
    round(100 * missing / nullIf(judged, 0), 3) AS missing_percent,
    sum(minutes.repeated) AS repeated,
    sum(minutes.dead_lettered) AS dead_lettered,
    sumIf(minutes.stored, minutes.missing IS NULL) AS stored_but_unjudged
FROM telemetry.accepted_and_stored AS minutes
GROUP BY hour
ORDER BY hour DESC
