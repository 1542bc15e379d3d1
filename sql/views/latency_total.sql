CREATE OR REPLACE VIEW telemetry.latency_total
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    metric LowCardinality(String) COMMENT 'A metric whose unit is ms, see the view metrics',
    count UInt64 COMMENT 'Events with a duration in [window_start, window_start + window_s)',
    mean_ms Float64 COMMENT 'Sum of the durations / count',
    p50_ms Float64 COMMENT 'The duration of rank ceil(0.50 * count), at most 1.1 % off',
    p95_ms Float64 COMMENT 'The duration of rank ceil(0.95 * count), at most 1.1 % off',
    p99_ms Float64 COMMENT 'The duration of rank ceil(0.99 * count), at most 1.1 % off'
)
AS WITH
    arrayCumSum(mapValues(buckets)) AS ranks,
    percent -> mapKeys(buckets)[arrayFirstIndex(rank -> rank >= intDiv(percent * count + 99, 100), ranks)] AS bucket_of,
    bucket -> if(bucket = -32768, 0, exp2((bucket + 0.5) / 32)) AS middle_of
SELECT
    window_start, window_s, metric, arraySum(mapValues(buckets)) AS count,
    sum / 1e6 / count AS mean_ms,
    middle_of(bucket_of(50)) AS p50_ms,
    middle_of(bucket_of(95)) AS p95_ms,
    middle_of(bucket_of(99)) AS p99_ms
FROM
(
    SELECT window_start, window_s, metric, sum(w.sum) AS sum, sumMap(w.buckets) AS buckets
    FROM telemetry.pane_windows AS w
    WHERE metric IN (SELECT name FROM telemetry.metrics WHERE unit = 'ms')
    GROUP BY window_start, window_s, metric
)
WHERE count > 0
COMMENT 'latency over all labels. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
