CREATE OR REPLACE VIEW telemetry.pane_windows
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    metric LowCardinality(String) COMMENT 'A name of the view metrics',
    labels Map(LowCardinality(String), String) COMMENT 'All labels of the metric',
    count UInt64 COMMENT 'Events in [window_start, window_start + window_s)',
    sum Int64 COMMENT 'Sum of the values in millionths',
    buckets Map(Int16, UInt64) COMMENT 'Histogram of the values, as in panes'
)
-- One branch per window: a condition on window_s removes the others, and one on window_start reaches the primary key of panes_raw.
AS SELECT
    toStartOfInterval(start, toIntervalMillisecond(60000)) AS window_start, toUInt32(60) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(300000)) AS window_start, toUInt32(300) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(900000)) AS window_start, toUInt32(900) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(1800000)) AS window_start, toUInt32(1800) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(3600000)) AS window_start, toUInt32(3600) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(21600000)) AS window_start, toUInt32(21600) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
UNION ALL SELECT
    toStartOfInterval(start, toIntervalMillisecond(86400000)) AS window_start, toUInt32(86400) AS window_s, metric, labels,
    sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL GROUP BY window_start, metric, labels
COMMENT 'Panes added up over partitions and over aligned windows; error_rate and latency are made of it. Fresh within a second; a window that has not ended grows.'
