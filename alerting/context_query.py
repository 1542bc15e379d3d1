"""What ClickHouse is asked about the failing events of an alert, and what its answer says. Pure: no I/O.

All is asked in one statement: the events of the window are read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, Literal

from alerting.engine.condition import Comparison
from alerting.engine.quantity import LabelFilter
from alerting.engine.rule import Rule
from schemas.alert import Alert, Context, ErrorClass, Suspect
from schemas.timestamps import from_ms, to_ms

#: Only the end of a long window is looked at: what fails now is what matters, and the answer has to come within a second.
LONGEST_LOOK_MS: Final = 120_000
_CLASSES: Final = 5
_SUSPECTS: Final = 5
_TRACE_IDS: Final = 5
#: Values that are compared with the rest, those with the most failing events.
_VALUES: Final = 50
#: A suspect has so many failing events, and fails so much more often than the rest, which is no chance at two standard deviations.
_MIN_ERRORS: Final = 5
_MIN_LIFT: Final = 1.5
_DEVIATIONS: Final = 2.0

#: Columns of the typed views that labels of the same meaning are made of.
_LABEL_COLUMNS: Final[Mapping[str, str]] = {"status_class": "concat(toString(intDiv(status_code, 100)), 'xx')"}
#: What a failing event calls its error, by view; the others do not say.
_CLASS_COLUMNS: Final[Mapping[str, str]] = {
    "menu_generated": "ifNull(error_type, '')",
    "provider_attempt": "if(ifNull(error_type, '') = '', outcome, assumeNotNull(error_type))",
    "api_request": "toString(status_code)",
    "external_api_call": "toString(status_code)",
    "payment": "ifNull(reason, '')",
}
_WITH_PROVIDER: Final = frozenset({"menu_generated", "provider_attempt"})

_Kind = Literal["release", "flag", "provider"]


@dataclass(frozen=True, slots=True)
class ContextQuery:
    """One SELECT with its parameters; its one row goes to `context_of`."""

    sql: str
    parameters: dict[str, Any]


def comparison_of(rule: Rule, alert: Alert) -> Comparison | None:
    """The comparison that decided."""
    return next((one for one in rule.condition.comparisons if one.text == alert.term), None)


def context_query(rule: Rule, alert: Alert) -> ContextQuery | None:
    """The question about the events that made `alert` fire; None when it is not single events that fail."""
    comparison = comparison_of(rule, alert)
    if comparison is None or comparison.quantity.metric is None or comparison.against == "absence":
        return None
    parameters: dict[str, Any] = {}
    failing = _failing(comparison, alert, parameters)
    if failing is None:
        return None
    view, to = comparison.quantity.view, to_ms(alert.window_to)
    since = max(to_ms(alert.window_from), to - LONGEST_LOOK_MS)
    where = [f"occurred_at >= '{_time(since)}'", f"occurred_at < '{_time(to)}'", *_selection(rule, comparison, alert, parameters)]
    return ContextQuery(_statement(view, failing, where), parameters)


def context_of(row: Mapping[str, Any]) -> Context:
    """What the answer says; without any failing event it says nothing."""
    errors, total = int(row["errors"]), int(row["total"])
    classes = [ErrorClass(error_type=name, count=count) for name, count in row["classes"]]
    compared: tuple[tuple[_Kind, str], ...] = (("release", "releases"), ("flag", "flag_variants"), ("provider", "providers"))
    suspects = [
        suspect
        for kind, column in compared
        for value, of_value, of_total in row[column]
        if (suspect := suspect_of(kind, value, of_value, of_total, errors, total)) is not None
    ]
    return Context(
        error_classes=tuple(one for one in classes if one.error_type or len(classes) > 1),
        suspects=tuple(sorted(suspects, key=_worst_first)[:_SUSPECTS]),
        trace_ids=tuple(row["trace_ids"]),
    )


def suspect_of(kind: _Kind, value: str, errors: int, total: int, all_errors: int, all_total: int) -> Suspect | None:
    """The value as a suspect, when its events fail more often than all others, beyond chance; None when not."""
    rest_errors, rest_total = all_errors - errors, all_total - total
    if not value or errors < _MIN_ERRORS or rest_total <= 0:
        return None
    rate, rest_rate = errors / total, rest_errors / rest_total
    if rest_errors == 0:
        return Suspect(kind=kind, value=value, errors=errors, total=total, lift=None)
    spread = sqrt(rest_rate * (1 - rest_rate) / total)
    if rate < _MIN_LIFT * rest_rate or rate <= rest_rate + _DEVIATIONS * spread:
        return None
    return Suspect(kind=kind, value=value, errors=errors, total=total, lift=round(rate / rest_rate, 2))


def _worst_first(suspect: Suspect) -> tuple[float, int]:
    return (-suspect.lift if suspect.lift is not None else float("-inf")), -suspect.errors


def _failing(comparison: Comparison, alert: Alert, parameters: dict[str, Any]) -> str | None:
    """An expression that is true of the events that are to blame."""
    quantity = comparison.quantity
    if quantity.kind in ("error_ratio", "share"):
        in_numerator = " AND ".join(_conditions(quantity.numerator, "failing", parameters))
        return f"NOT ({in_numerator})" if quantity.worse == "lower" else in_numerator
    if quantity.kind in ("mean", "quantile"):
        parameters["usual"] = _too_much(comparison, alert)
        return None if parameters["usual"] is None else f"{quantity.value_column} > {{usual:Float64}}"
    return "true" if quantity.kind == "count" and comparison.against == "threshold" and ">" in comparison.operator else None


def _too_much(comparison: Comparison, alert: Alert) -> float | None:
    """The value of a single event above which it is one of those that raise the mean, or the quantile."""
    if comparison.against == "threshold":
        return comparison.threshold if comparison.operator.startswith(">") else None
    baseline = next((term.baseline for term in alert.terms if term.text == alert.term), None)
    return None if baseline is None or comparison.against == "drop" else baseline * (1 + comparison.threshold)


def _selection(rule: Rule, comparison: Comparison, alert: Alert, parameters: dict[str, Any]) -> Iterable[str]:
    """Which events the comparison is about: its own selectors, what its quantity is of, the alert's series, and people only."""
    metric = comparison.quantity.metric
    assert metric is not None
    yield from _conditions(comparison.quantity.denominator, "of", parameters)
    for number, selector in enumerate(comparison.selectors):
        parameters[f"selected{number}"] = selector.value
        yield f"{_column(selector.label)} {'!=' if selector.negated else '='} {{selected{number}:String}}"
    for number, label in enumerate(rule.by):
        parameters[f"series{number}"] = alert.labels.get(label, "")
        yield f"{_column(label)} = {{series{number}:String}}"
    if not metric.counts_bots:
        yield "empty(bot_reasons)"


def _conditions(wanted: LabelFilter, prefix: str, parameters: dict[str, Any]) -> list[str]:
    conditions = []
    for number, (label, values) in enumerate(wanted):
        parameters[f"{prefix}{number}"] = sorted(values)
        conditions.append(f"has({{{prefix}{number}:Array(String)}}, {_column(label)})")
    return conditions


def _column(label: str) -> str:
    return _LABEL_COLUMNS.get(label, f"ifNull(toString({label}), '')")


def _statement(view: str, failing: str, where: Iterable[str]) -> str:
    provider = "ifNull(toString(provider), '')" if view in _WITH_PROVIDER else "''"
    return (
        "SELECT errors, total,"
        f" arraySlice(arrayReverseSort(c -> c.2, arrayZip(mapKeys(by_class), mapValues(by_class))), 1, {_CLASSES}) AS classes,"
        f" {_most_failing('by_release')} AS releases, {_most_failing('by_flag')} AS flag_variants,"
        f" {_most_failing('by_provider')} AS providers,"
        " trace_ids FROM (SELECT count() AS total, countIf(failing) AS errors,"
        " sumMapIf(map(error_class, toUInt64(1)), failing) AS by_class,"
        f" {_sums('[release]', 'by_release')}, {_sums('variants', 'by_flag')}, {_sums('[provider_name]', 'by_provider')},"
        f" arraySlice(groupUniqArrayIf({_TRACE_IDS})(trace_id, failing AND trace_id != ''), 1, {_TRACE_IDS}) AS trace_ids"
        f" FROM (SELECT ({failing}) AS failing, {_CLASS_COLUMNS.get(view, repr(''))} AS error_class, toString(version) AS release,"
        " arrayMap((flag, variant) -> concat(flag, '=', variant), mapKeys(flags), mapValues(flags)) AS variants,"
        f" {provider} AS provider_name, trace_id FROM telemetry.{view} WHERE {' AND '.join(where)}))"
    )


def _sums(values: str, name: str) -> str:
    """Two maps from each of `values` to its events, all and failing."""
    return (
        f"sumMap(mapFromArrays({values}, arrayMap(v -> toUInt64(1), {values}))) AS {name}_total,"
        f" sumMap(mapFromArrays({values}, arrayMap(v -> toUInt64(failing), {values}))) AS {name}_errors"
    )


def _most_failing(name: str) -> str:
    """(value, failing events, events) of the values with the most failing events."""
    rows = f"arrayMap((v, e) -> (v, e, {name}_total[v]), mapKeys({name}_errors), mapValues({name}_errors))"
    return f"arraySlice(arrayReverseSort(v -> v.2, {rows}), 1, {_VALUES})"


def _time(ms: int) -> str:
    return from_ms(ms).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03}"
