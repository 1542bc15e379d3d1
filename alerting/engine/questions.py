"""What ClickHouse is asked: the values that panes do not have, and what is usual.

Every answer has the columns labels, numerator, denominator, value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from alerting.engine.condition import Comparison
from alerting.engine.quantity import Quantity
from alerting.engine.series import WHOLE, Series
from alerting.engine.sql import numbers_of_panes, pane_selection, quoted, ratio, selection, time
from schemas import topics

#: The biggest series; more would not fit into one record of the ledger.
MOST_SERIES: Final = 1_000
#: The label that says how many weeks before a row of a baseline is from.
WEEK: Final = "week"
HOUR_MS: Final = 3_600_000
#: What a gateway accepted in a minute is known some seconds after it: of the window's last one that is soon, and not yet.
_CLAIMED_AFTER_MS: Final = 60_000
#: Cohorts whose seventh day has ended: seven of them, as the days of a week are not alike.
_COHORTS: Final = "mature AND cohort_day >= toDate('{end}') - 14 AND cohort_day <= toDate('{end}') - 8"


class _Source(NamedTuple):
    """`table` holds the rows, `numbers` makes the three columns of them."""

    table: str
    numbers: str
    conditions: tuple[str, ...]


def value_sql(comparison: Comparison, window_from_ms: int, window_to_ms: int, *, by: Iterable[str] = (), series: Series = WHOLE) -> str:
    """The value over [window_from_ms, window_to_ms), of one `series`, or of each combination of the labels `by`."""
    quantity = comparison.quantity
    if quantity.kind == "reading":
        source = _reading(quantity, window_from_ms, window_to_ms)
        conditions = [*source.conditions, *selection(comparison.selectors, series, str)]
        return _grouped(source, conditions, {label: label for label in sorted(by)})
    window_s = (window_to_ms - window_from_ms) // 1000
    table = f"telemetry.panes_before(end = '{time(window_to_ms)[:-4]}', window_s = {window_s}) AS p"
    conditions = [_of_metric(quantity), *pane_selection(comparison, series)]
    return _grouped(_Source(table, numbers_of_panes(quantity), ()), conditions, _pane_labels(by))


def baseline_sql(comparison: Comparison, by: Iterable[str], hours_ms: Sequence[int], rules: Iterable[str]) -> str:
    """The value in each of these hours (starts, ms), one row per series and hour, `week` 1 for the first of them.

    An hour is left out in which something was deployed, ten minutes passed without any event, or an incident of one of `rules` was open;
    an incident of one series counts for that series only.
    """
    labels = _pane_labels(by)
    began = ", ".join(f"toDateTime64('{time(hour)}', 3, 'UTC')" for hour in hours_ms)
    columns = "".join(f", {expression} AS l{index}" for index, expression in enumerate(labels.values()))
    keys = "".join(f", l{index}" for index in range(len(labels)))
    names, values = f"[{', '.join(map(quoted, labels))}]", f"[{', '.join(f'l{index}' for index in range(len(labels)))}]"
    of_series = f" AND arrayAll((name, is) -> NOT mapContains(t.1, name) OR t.1[name] = is, {names}, {values})" if labels else ""
    conditions = [_of_metric(comparison.quantity), _within("p.start", hours_ms), *pane_selection(comparison, WHOLE)]
    return (
        f"WITH [{began}] AS began, {_TROUBLES.format(rules=', '.join(map(quoted, sorted(rules))) or quoted(''))} AS troubles"
        f" SELECT map('{WEEK}', toString(week){''.join(f', {quoted(name)}, l{index}' for index, name in enumerate(labels))}) AS labels,"
        f" numerator, denominator, value FROM (SELECT {_week('p.start')} AS week{columns}, {numbers_of_panes(comparison.quantity)}"
        f" FROM telemetry.panes AS p WHERE {' AND '.join(conditions)} GROUP BY week{keys})"
        f" WHERE week NOT IN (SELECT {_week('occurred_at')} FROM telemetry.deployment WHERE {_within('occurred_at', hours_ms)})"
        f" AND week IN (SELECT {_week('e.start')} AS week FROM telemetry.panes AS e WHERE metric = 'events' AND count > 0"
        f" AND {_within('e.start', hours_ms)} GROUP BY week HAVING uniqExact(intDiv(toUnixTimestamp(e.start), 600)) = 6)"
        f" AND NOT arrayExists(t -> t.2 < began[week] + INTERVAL 1 HOUR AND t.3 > began[week]{of_series}, troubles)"
        f" ORDER BY denominator DESC, week LIMIT {len(hours_ms) * MOST_SERIES}"
    )


#: Labels, beginning and end of every incident of the rules, those that are open included.
_TROUBLES: Final = (
    "(SELECT groupArray((labels, began, ended)) FROM (SELECT any(a.labels) AS labels, min(a.since) AS began,"
    " if(countIf(state IN ('resolved', 'retro_cleared')) > 0, max(a.judged_to), toDateTime64('2100-01-01 00:00:00', 3, 'UTC')) AS ended"
    " FROM telemetry.alerts AS a WHERE rule IN ({rules}) GROUP BY incident_key))"
)


def _reading(quantity: Quantity, window_from_ms: int, window_to_ms: int) -> _Source:
    begin, end = time(window_from_ms), time(window_to_ms)
    window = f"occurred_at >= '{begin}' AND occurred_at < '{end}'"
    window_s = (window_to_ms - window_from_ms) // 1000
    match quantity.name:
        case "satisfaction_score":
            return _Source("telemetry.satisfaction_rating", ratio("sum(rating)", "count()"), (window, "empty(bot_reasons)"))
        case "retention_7d":
            day = end[:10]
            return _Source("telemetry.user_retention_7d", ratio("sum(retained)", "sum(cohort_size)"), (_COHORTS.format(end=day),))
        case "data_loss":
            table = f"telemetry.accepted_and_stored_at(end = '{end}', window_s = {window_s})"
            known = ("missing IS NOT NULL", f"minute < '{time(window_to_ms - _CLAIMED_AFTER_MS)[:-4]}'")
            return _Source(table, ratio("ifNull(sum(missing), 0)", "ifNull(sum(accepted), 0)"), known)
        case "dead_letter_share":
            letters = f"(SELECT count() FROM telemetry.dead_letters WHERE kafka_topic = {quoted(topics.EVENTS.name)}"
            letters += f" AND failed_at >= '{begin}' AND failed_at < '{end}')"
            counted = f"(SELECT sum(count) FROM telemetry.panes_before(end = '{end}', window_s = {window_s})"
            counted += " WHERE metric = 'events' AND labels['event_type'] != 'accepted_count')"  # it belongs to a minute that was over
            return _Source("system.one", ratio(letters, f"{letters} + {counted}"), ())
        case "rate_limited_share":
            return _Source("telemetry.external_api_call", ratio("countIf(status_code = 429)", "count()"), (window,))
        case "feedback_count":
            numbers = "toFloat64(count()) AS numerator, numerator AS denominator, numerator AS value"
            return _Source("telemetry.feedback", numbers, (window, "empty(bot_reasons)"))
    raise AssertionError(f"nobody knows what to ask for {quantity.name}")


def _grouped(source: _Source, conditions: Sequence[str], labels: dict[str, str]) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    if not labels:
        return f"SELECT CAST(map(), 'Map(String, String)') AS labels, {source.numbers} FROM {source.table}{where}"
    columns = ", ".join(f"{expression} AS l{index}" for index, expression in enumerate(labels.values()))
    keys = ", ".join(f"l{index}" for index in range(len(labels)))
    pairs = ", ".join(f"{quoted(name)}, l{index}" for index, name in enumerate(labels))
    return (
        f"SELECT map({pairs}) AS labels, numerator, denominator, value FROM (SELECT {columns}, {source.numbers}"
        f" FROM {source.table}{where} GROUP BY {keys}) ORDER BY denominator DESC, {keys} LIMIT {MOST_SERIES}"
    )


def _pane_labels(by: Iterable[str]) -> dict[str, str]:
    return {label: f"p.labels[{quoted(label)}]" for label in sorted(by)}


def _of_metric(quantity: Quantity) -> str:
    assert quantity.metric is not None, "only a quantity with a metric is in panes"
    return f"metric = {quoted(quantity.metric.name)} AND p.count > 0"


def _week(column: str) -> str:
    return f"arrayFirstIndex(hour -> {column} >= hour AND {column} < hour + INTERVAL 1 HOUR, began)"


def _within(column: str, hours_ms: Sequence[int]) -> str:
    hours = [f"{column} >= '{time(hour)}' AND {column} < '{time(hour + HOUR_MS)}'" for hour in hours_ms]
    return f"({' OR '.join(hours)})"
