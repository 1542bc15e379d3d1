"""The questions the dashboards ask, as SQL on the documented views with the macros of Grafana's ClickHouse plugin.

A `window` is the width of the windows in seconds, or a dashboard variable that holds it.
"""


def menus_per_minute(window: str) -> str:
    """Windows that have ended at the watermark; up to there one without a menu counts 0, after it nothing is known yet."""
    return f"""
WITH assumeNotNull((SELECT max(watermark) FROM partition_progress)) AS known_to
SELECT window_start AS time, total * 60 / window_s AS "menus per minute"
FROM error_rate_total
WHERE metric = 'menu_generation' AND window_s = {window} AND $__timeFilter(window_start)
  AND window_start + toIntervalSecond({window}) <= known_to
ORDER BY time WITH FILL
  TO toDateTime64(toStartOfInterval(least(known_to, toDateTime64($__toTime, 3, 'UTC')), toIntervalSecond({window})), 3, 'UTC')
  STEP toIntervalSecond({window})
"""


def error_ratio(window: str) -> str:
    """Null, so that the line breaks, where no menu was asked for."""
    return f"""
SELECT window_start AS time, toNullable(error_ratio) AS "error ratio"
FROM error_rate_total
WHERE metric = 'menu_generation' AND window_s = {window} AND $__timeFilter(window_start)
ORDER BY time WITH FILL STEP toIntervalSecond({window})
"""


def latency(window: str, columns: str) -> str:
    """`columns` of latency_total; null where no menu was asked for."""
    return f"""
SELECT window_start AS time, {columns}
FROM latency_total
WHERE metric = 'menu_generation' AND window_s = {window} AND $__timeFilter(window_start)
ORDER BY time WITH FILL STEP toIntervalSecond({window})
"""


QUANTILES = "toNullable(p50_ms) AS p50, toNullable(p95_ms) AS p95, toNullable(p99_ms) AS p99"
MEAN = "toNullable(mean_ms) AS mean"

OUTCOME_BY_PROVIDER = """
SELECT
    if(labels['provider'] = '', '(none)', labels['provider']) AS provider,
    sumIf(count, labels['outcome'] = 'full') AS full,
    sumIf(count, labels['outcome'] = 'degraded') AS degraded,
    sumIf(count, labels['outcome'] = 'failed') AS failed,
    failed / sum(count) AS "error ratio"
FROM latency
WHERE metric = 'menu_generation' AND window_s = 60 AND $__timeFilter(window_start)
GROUP BY provider
ORDER BY failed DESC, provider
"""

TOP_ERROR_TYPES = """
SELECT
    coalesce(nullIf(error_type, ''), '(not given)') AS "error type",
    countIf(outcome = 'failed') AS failed,
    countIf(outcome = 'degraded') AS degraded,
    max(occurred_at) AS "last seen"
FROM menu_generated
WHERE $__timeFilter(occurred_at) AND outcome != 'full'
GROUP BY "error type"
ORDER BY failed DESC, degraded DESC, "error type"
LIMIT 10
"""

OPEN_ALERT_COUNT = """
SELECT countIf(state = 'firing') AS "open alerts"
FROM (SELECT state FROM alerts ORDER BY at DESC LIMIT 1 BY incident_key)
"""

OPEN_ALERTS = """
SELECT since, severity, rule, summary, window_from AS "window from", window_to AS "window to", incident_key AS "incident key", runbook
FROM (SELECT * FROM alerts ORDER BY at DESC LIMIT 1 BY incident_key)
WHERE state = 'firing'
ORDER BY since
"""

FLUSH_AGE = """
SELECT dateDiff('second', max(at), now64(3, 'UTC')) AS "seconds since a flush"
FROM partition_progress
HAVING count() > 0
"""

FRESHNESS = """
SELECT
    kafka_partition AS partition,
    max(position) AS "read to offset",
    max(watermark) AS "watermark up to",
    dateDiff('second', max(watermark), now64(3, 'UTC')) AS "watermark lag",
    dateDiff('second', max(at), now64(3, 'UTC')) AS "since a flush"
FROM partition_progress
GROUP BY partition
ORDER BY partition
"""


def transitions(state: str) -> str:
    """Markers at the moment an alert fired or was resolved; what was found out too late to page anybody is not marked."""
    return f"""
SELECT at AS time, concat(rule, ' {state}') AS title, summary AS text, severity AS tags
FROM alerts
WHERE $__timeFilter_ms(at) AND state = '{state}'
ORDER BY time
"""
