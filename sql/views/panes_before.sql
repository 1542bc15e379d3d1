CREATE OR REPLACE VIEW telemetry.panes_before
AS SELECT
    metric, labels, sum(p.count) AS count, sum(p.sum) AS sum, sumMap(p.buckets) AS buckets
FROM telemetry.panes_raw AS p FINAL
WHERE start >= {end:DateTime64(3, 'UTC')} - toIntervalSecond({window_s:UInt32}) AND start < {end:DateTime64(3, 'UTC')}
GROUP BY metric, labels
COMMENT 'panes_before(end = ''2026-11-23 10:00:10'', window_s = 60): panes added up over partitions and over [end - window_s, end), end a multiple of 10 s: metric, labels, count, sum, buckets. error_rate_at and latency_at are made of it. Fresh within a second.'
