CREATE OR REPLACE VIEW telemetry.error_rate
(
    window_start DateTime64(3, 'UTC') COMMENT 'A multiple of window_s since 1970',
    window_s UInt32 COMMENT '60, 300, 900, 1800, 3600, 21600 or 86400',
    metric LowCardinality(String) COMMENT 'A metric that has errors, see the view metrics',
    labels Map(LowCardinality(String), String) COMMENT 'Its labels without the error label',
    total UInt64 COMMENT 'Events in [window_start, window_start + window_s); of queue_job those that ended: exhausted, completed',
    errors UInt64 COMMENT 'Those whose error label has one of the error values',
    error_ratio Float64 COMMENT 'errors / total, 0 to 1'
)
AS WITH
    (SELECT mapFromArrays(groupArray(name), groupArray(error_label)) FROM telemetry.metrics WHERE error_label != '') AS error_label_of,
    (SELECT mapFromArrays(groupArray(name), groupArray(error_values)) FROM telemetry.metrics WHERE error_label != '') AS error_values_of,
    (SELECT mapFromArrays(groupArray(name), groupArray(total_values)) FROM telemetry.metrics WHERE error_label != '') AS total_values_of,
    w.labels[error_label_of[w.metric]] AS error_label_is
SELECT
    window_start, window_s, metric, mapFilter((label, _) -> label != error_label_of[w.metric], w.labels) AS labels,
    sumIf(w.count, empty(total_values_of[w.metric]) OR has(total_values_of[w.metric], error_label_is)) AS total,
    sumIf(w.count, has(error_values_of[w.metric], error_label_is)) AS errors,
    errors / total AS error_ratio
FROM telemetry.pane_windows AS w
WHERE metric IN (SELECT name FROM telemetry.metrics WHERE error_label != '')
GROUP BY window_start, window_s, metric, labels
HAVING total > 0
COMMENT 'Errors of each series in aligned windows, only where something happened; always name a window_s. Fresh within a second; a window that has not ended grows, and late events change closed ones within a minute.'
