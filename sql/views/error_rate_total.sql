CREATE OR REPLACE VIEW telemetry.error_rate_total
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    metric LowCardinality(String) COMMENT 'A metric that has errors, see the view metrics',
    total UInt64 COMMENT 'Events in [window_start, window_start + window_s); of queue_job those that ended: exhausted, completed',
    errors UInt64 COMMENT 'Those whose error label has one of the error values',
    error_ratio Float64 COMMENT 'errors / total, 0 to 1'
)
AS SELECT
    window_start, window_s, metric, sum(e.total) AS total, sum(e.errors) AS errors, errors / total AS error_ratio
FROM telemetry.error_rate AS e
GROUP BY window_start, window_s, metric
COMMENT 'error_rate over all labels. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
