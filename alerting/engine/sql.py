"""The SQL in an alert: the numbers of a window as they were judged, from the events, and once its panes are closed, from the panes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from alerting.engine.condition import Comparison, Selector
from alerting.engine.quantity import LabelFilter, Quantity
from alerting.engine.series import Series
from schemas.metrics import OTHER, Metric
from schemas.timestamps import from_ms

#: Labels that are no column of the typed view.
_STATUS_CLASS: Final = "concat(toString(intDiv(status_code, 100)), 'xx')"
_LABELS: Final[dict[tuple[str, str], str]] = {
    ("menu_generated", "provider"): "ifNull(provider, '')",
    ("api_request", "status_class"): _STATUS_CLASS,
    ("external_api_call", "status_class"): _STATUS_CLASS,
}
#: The rules of pipeline/aggregation/paths.py, as the view web_vitals has them; a test holds both against each other.
_PATH_TEMPLATE: Final = (
    "replaceRegexpOne(replaceRegexpOne({column}, '[?#].*', ''), '^[A-Za-z][A-Za-z0-9+.-]*://[^/]*', '') AS path,"
    " token -> multiIf(NOT match(token, '[0-9]') OR NOT match(token, '[A-Za-z]'), false,"
    " match(token, '^[0-9A-Fa-f]{{6,}}$|^[0-9]+[A-Fa-f]+[0-9][0-9A-Fa-f]*$'), true,"
    " length(token) >= 10, match(token, '^[0-9]+[A-Za-z]+[0-9]|^[A-Za-z]+[0-9]+[A-Za-z]'),"
    " length(token) >= 6 AND match(token, '^[0-9]+[A-Za-z]+[0-9]+[A-Za-z]|^[A-Za-z]+[0-9]+[A-Za-z]+[0-9]')) AS is_id_token,"
    " segment -> NOT startsWith(segment, ':') AND (match(segment, '[0-9]{{5}}|^[A-Za-z][-_][0-9]+$|@|%40|[A-Za-z]{{32}}')"
    " OR (match(segment, '[0-9]') AND match(segment, '^[!-@[-`{{-~]+(?:\\\\.[A-Za-z]{{2,5}})?$'))"
    " OR arrayExists(is_id_token, extractAll(segment, '[0-9A-Za-z]+'))) AS is_id,"
    " if(match(path, '[0-9@]|[A-Za-z]{{32}}'),"
    " arrayStringConcat(arrayMap(segment -> if(is_id(segment), ':id', segment), splitByChar('/', path)), '/'), path) AS kept,"
    " if(kept = '', '/', kept) AS template"
)
_TEMPLATES: Final = {("api_request", "route"): "route", ("web_vital", "page"): "page"}


def as_judged(comparison: Comparison, series: Series, window_from_ms: int, window_to_ms: int, last_offsets: Sequence[int]) -> str:
    """The numbers as they were judged: the window's events among those that had been read, from the de-duplicated truth.

    `last_offsets` by partition, -1 where nothing had been read. Of values of a label that are folded into one, only panes know.
    """
    if any(value == OTHER for _, value in series):
        return when_closed(comparison, series, window_from_ms, window_to_ms)
    quantity, view = _counted(comparison), comparison.quantity.view
    wanted = [(name, values) for name, values in quantity.denominator if not _is_chosen_by_column(quantity, name)]
    conditions = [_one_of(_label(view, name), values) for name, values in wanted] if quantity.kind not in {"error_ratio", "share"} else []
    conditions += selection(comparison.selectors, series, lambda name: _label(view, name))
    conditions += [] if _metric(quantity).counts_bots else ["empty(bot_reasons)"]
    conditions += ["schema_ok"] if view == "events" else []
    conditions += [f"isNotNull({quantity.value_column})"] if quantity.kind == "quantile" else []
    conditions.append(f"kafka_offset <= [{', '.join(map(str, last_offsets))}][kafka_partition + 1]")
    return (
        f"{_template_of(view, ' '.join(conditions))}SELECT {_numbers_of_events(quantity)} FROM telemetry.{view}"
        f" WHERE occurred_at >= '{time(window_from_ms)}' AND occurred_at < '{time(window_to_ms)}' AND {' AND '.join(conditions)}"
    )


def when_closed(comparison: Comparison, series: Series, window_from_ms: int, window_to_ms: int) -> str:
    """The numbers of the whole window, from panes; the same as the board's once all panes of the window are closed."""
    conditions = [f"metric = {quoted(_metric(comparison.quantity).name)}", *pane_selection(comparison, series)]
    return (
        f"SELECT {numbers_of_panes(_counted(comparison))} FROM telemetry.panes_before(end = '{time(window_to_ms)[:-4]}',"
        f" window_s = {(window_to_ms - window_from_ms) // 1000}) AS p WHERE {' AND '.join(conditions)}"
    )


def numbers_of_panes(quantity: Quantity) -> str:
    """`numerator`, `denominator` and `value` over rows of panes aliased `p`."""
    match quantity.kind:
        case "mean":
            return ratio("sum(p.sum) / 1e6", "sum(p.count)")
        case "quantile":
            assert quantity.quantile is not None
            buckets, events = "sumMap(p.buckets)", "arraySum(mapValues(sumMap(p.buckets)))"
            place = f"arrayFirstIndex(rank -> rank >= {_rank(quantity.quantile, events)}, arrayCumSum(mapValues({buckets})))"
            return f"toFloat64({events}) AS numerator, numerator AS denominator, {_value_of_bucket(f'mapKeys({buckets})[{place}]', events)}"
        case "count":
            return "toFloat64(sum(p.count)) AS numerator, numerator AS denominator, numerator AS value"
    return ratio(*(_sum_if(filters) for filters in ((*quantity.denominator, *quantity.numerator), quantity.denominator)))


def pane_selection(comparison: Comparison, series: Series) -> list[str]:
    """Conditions on the labels of panes; those of a ratio's parts are not among them."""
    column = "p.labels[{}]".format
    quantity = _counted(comparison)
    filters = quantity.denominator if quantity.kind not in {"error_ratio", "share"} else ()
    return [_one_of(column(quoted(name)), values) for name, values in filters] + selection(
        comparison.selectors, series, lambda name: column(quoted(name))
    )


def selection(selectors: Sequence[Selector], series: Series, column: Callable[[str], str]) -> list[str]:
    """Conditions for what is selected, and for the labels of one series."""
    selected = [f"{column(one.label)} {'!=' if one.negated else '='} {quoted(one.value)}" for one in selectors]
    return selected + [f"{column(name)} = {quoted(value)}" for name, value in series]


def ratio(numerator: str, denominator: str) -> str:
    """The three columns of every answer; `value` is null without events."""
    return f"toFloat64({numerator}) AS numerator, toFloat64({denominator}) AS denominator, numerator / nullIf(denominator, 0) AS value"


def time(ms: int) -> str:
    """An instant as ClickHouse reads it, in UTC."""
    return from_ms(ms).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03}"


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _counted(comparison: Comparison) -> Quantity:
    """Of what is absent, events are counted whatever they are measured for."""
    return replace(comparison.quantity, kind="count") if comparison.against == "absence" else comparison.quantity


def _numbers_of_events(quantity: Quantity) -> str:
    match quantity.kind:
        case "mean":
            # Each value rounded once, as panes have it: a ratio of 0.8512345678 is 851,235 millionths.
            return ratio(f"sum(toInt64(round({quantity.value_column} * 1e6))) / 1e6", "count()")
        case "quantile":
            assert quantity.quantile is not None
            bucket = f"if({quantity.value_column} <= 0, -32768, toInt32(ceil(32 * log2({quantity.value_column}))) - 1)"
            place = f"arraySort(groupArray({bucket}))[{_rank(quantity.quantile, 'count()')}]"
            return f"toFloat64(count()) AS numerator, numerator AS denominator, {_value_of_bucket(place, 'count()')}"
        case "count":
            return "toFloat64(count()) AS numerator, numerator AS denominator, numerator AS value"
    return ratio(*(_count_if(quantity.view, filters) for filters in ((*quantity.denominator, *quantity.numerator), quantity.denominator)))


def _rank(quantile: float, n: str) -> str:
    return f"intDiv({round(quantile * 1000)} * {n} + 999, 1000)"


def _value_of_bucket(bucket: str, events: str) -> str:
    return f"if({events} = 0, NULL, if({bucket} = -32768, 0, exp2(({bucket} + 0.5) / 32))) AS value"


def _sum_if(filters: LabelFilter) -> str:
    conditions = [_one_of(f"p.labels[{quoted(name)}]", values) for name, values in filters]
    return f"sumIf(p.count, {' AND '.join(conditions)})" if conditions else "sum(p.count)"


def _count_if(view: str, filters: LabelFilter) -> str:
    conditions = [_one_of(_label(view, name), values) for name, values in filters]
    return f"countIf({' AND '.join(conditions)})" if conditions else "count()"


def _one_of(column: str, values: frozenset[str]) -> str:
    return f"{column} IN ({', '.join(map(quoted, sorted(values)))})"


def _label(view: str, name: str) -> str:
    return "template" if (view, name) in _TEMPLATES else _LABELS.get((view, name), name)


def _template_of(view: str, text: str) -> str:
    column = next((column for (of_view, _), column in _TEMPLATES.items() if of_view == view), "")
    return f"WITH {_PATH_TEMPLATE.format(column=column)} " if column and "template" in text else ""


def _is_chosen_by_column(quantity: Quantity, label: str) -> bool:
    """A resource is a column of its own: `cpu_ratio` has what panes have under resource=cpu."""
    return quantity.view == "resource_usage" and label == "resource"


def _metric(quantity: Quantity) -> Metric:
    assert quantity.metric is not None, "only a quantity with a metric is in panes"
    return quantity.metric
