CREATE OR REPLACE VIEW telemetry.latency_at
AS WITH
    arrayCumSum(mapValues(buckets)) AS ranks,
    percent -> mapKeys(buckets)[arrayFirstIndex(rank -> rank >= intDiv(percent * count + 99, 100), ranks)] AS bucket_of,
    bucket -> if(bucket = -32768, 0, exp2((bucket + 0.5) / 32)) AS middle_of
SELECT
    metric, labels, arraySum(mapValues(buckets)) AS count,
    sum / 1e6 / count AS mean_ms,
    middle_of(bucket_of(50)) AS p50_ms,
    middle_of(bucket_of(95)) AS p95_ms,
    middle_of(bucket_of(99)) AS p99_ms
FROM telemetry.panes_before(end = {end:DateTime64(3, 'UTC')}, window_s = {window_s:UInt32})
WHERE metric IN (SELECT name FROM telemetry.metrics WHERE unit = 'ms') AND count > 0
COMMENT 'latency_at(end = ''2026-11-23 10:00:10'', window_s = 60): durations of each series in [end - window_s, end), end a multiple of 10 s: metric, labels, count, mean_ms, p50_ms, p95_ms, p99_ms (as in latency). Fresh within a second.'
