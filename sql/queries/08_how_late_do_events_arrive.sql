-- How late do events arrive, by service, and whose clocks are wrong (last day)?
SELECT
    service,
    count() AS events,
    round(quantile(0.5)(delay_s), 3) AS p50_s,
    round(quantile(0.99)(delay_s), 3) AS p99_s,
    countIf(delay_s > 900) AS after_their_window,
    countIf(time_clamped AND clock_skew_ms = 0) AS from_the_future,
    countIf(clock_skew_ms != 0) AS by_clocks_put_right
FROM
(
    SELECT service, time_clamped, clock_skew_ms, dateDiff('millisecond', occurred_at, received_at) / 1000 AS delay_s
    FROM telemetry.events
    WHERE received_at >= now() - INTERVAL 1 DAY
)
GROUP BY service
ORDER BY after_their_window DESC, service
