CREATE OR REPLACE VIEW telemetry.error_rate_at
AS WITH
    (SELECT mapFromArrays(groupArray(name), groupArray(error_label)) FROM telemetry.metrics WHERE error_label != '') AS error_label_of,
    (SELECT mapFromArrays(groupArray(name), groupArray(error_values)) FROM telemetry.metrics WHERE error_label != '') AS error_values_of,
    (SELECT mapFromArrays(groupArray(name), groupArray(total_values)) FROM telemetry.metrics WHERE error_label != '') AS total_values_of,
    w.labels[error_label_of[w.metric]] AS error_label_is
SELECT
    metric, mapFilter((label, _) -> label != error_label_of[w.metric], w.labels) AS labels,
    sumIf(w.count, empty(total_values_of[w.metric]) OR has(total_values_of[w.metric], error_label_is)) AS total,
    sumIf(w.count, has(error_values_of[w.metric], error_label_is)) AS errors,
    errors / total AS error_ratio
FROM telemetry.panes_before(end = {end:DateTime64(3, 'UTC')}, window_s = {window_s:UInt32}) AS w
WHERE metric IN (SELECT name FROM telemetry.metrics WHERE error_label != '')
GROUP BY metric, labels
HAVING total > 0
COMMENT 'error_rate_at(end = ''2026-11-23 10:00:10'', window_s = 60): errors of each series in [end - window_s, end), end a multiple of 10 s: metric, labels (without the error label), total, errors, error_ratio (0 to 1). Fresh within a second.'
