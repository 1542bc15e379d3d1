"""Each number as it was seen on a topic, beside the same number by SQL, and whether they agree. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.demo.board import PERCENTILES, Series, Totals
from schemas.alert import Alert
from schemas.metrics import METRICS
from schemas.pane import MILLIONTHS
from schemas.timestamps import from_ms

#: A quantile of a histogram is the middle of a bucket: at most so far from the exact one (contract).
QUANTILE_TOLERANCE: Final = 0.011
#: Means and ratios are made of exact sums; only the order of the last operations may differ.
FLOAT_TOLERANCE: Final = 1e-9

Unit = Literal["", "ms", "ratio"]


@dataclass(frozen=True, slots=True)
class Number:
    """One number from up to three sources; None where a source does not have it.

    seen: on the topic, as the alerter saw it; by_sql: from `events`; sent: what the sender knows was accepted.
    """

    name: str
    seen: float | None
    by_sql: float | None
    unit: Unit = ""
    sent: float | None = None
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        if self.seen is None or self.by_sql is None:
            return False
        return math.isclose(self.seen, self.by_sql, rel_tol=self.tolerance) and self.sent in (None, self.by_sql)


@dataclass(frozen=True, slots=True)
class SqlTotals:
    """A series by SQL: events, the sum of their values in millionths, how many have one, and exact quantiles by percent, if any has."""

    count: int
    sum_millionths: int
    valued: int
    percentiles: Mapping[int, float]

    @property
    def mean(self) -> float | None:
        return self.sum_millionths / MILLIONTHS / self.valued if self.valued else None


@dataclass(frozen=True, slots=True)
class Fraction:
    """What a condition compares: value = numerator / denominator."""

    numerator: float
    denominator: float
    value: float | None

    @classmethod
    def of(cls, numerator: float, denominator: float) -> Fraction:
        return cls(numerator, denominator, numerator / denominator if denominator else None)


def series_numbers(seen: Mapping[Series, Totals], by_sql: Mapping[Series, SqlTotals], sent: Mapping[Series, int]) -> list[Number]:
    """Events, mean and quantiles of every series that any of the sources has."""
    numbers: list[Number] = []
    for series in sorted({*seen, *by_sql, *sent}):
        panes, rows = seen.get(series), by_sql.get(series)
        name = str(series)
        counts = (None if panes is None else panes.count, None if rows is None else rows.count)
        numbers.append(Number(f"{name} events", *counts, sent=sent.get(series)))
        if (panes is not None and panes.buckets) or (rows is not None and rows.valued):
            means = (None if panes is None else panes.mean, None if rows is None else rows.mean)
            unit: Unit = "ms" if METRICS[series.metric].unit == "ms" else ""
            numbers.append(Number(f"{name} mean", *means, unit, tolerance=FLOAT_TOLERANCE))
            for percent in PERCENTILES:
                quantiles = (None if panes is None else panes.percentile(percent), None if rows is None else rows.percentiles.get(percent))
                numbers.append(Number(f"{name} p{percent}", *quantiles, unit, tolerance=QUANTILE_TOLERANCE))
    return numbers


def error_numbers(seen: Mapping[Series, Totals], by_sql: Mapping[Series, SqlTotals]) -> list[Number]:
    """The error rate over all labels of each metric that has one."""
    numbers: list[Number] = []
    for name in sorted({series.metric for series in (*seen, *by_sql) if METRICS[series.metric].error_label is not None}):
        rates = [_error_rate(name, {series: totals.count for series, totals in source.items()}) for source in (seen, by_sql)]
        numbers += fraction_numbers(f"{name} over all labels", rates[0], rates[1], "ratio", ("errors", "events", "error rate"))
    return numbers


def pane_numbers(seen: Mapping[tuple[Series, int], Totals], by_sql: Mapping[tuple[Series, int], tuple[int, int]]) -> list[Number]:
    """Panes of ten seconds one by one: how many are right, and each that is not. `by_sql` has (events, sum in millionths)."""
    wrong = sorted(
        key
        for key in {*seen, *by_sql}
        if key not in seen or key not in by_sql or (seen[key].count, seen[key].sum_millionths) != by_sql[key]
    )
    numbers = [Number("panes of ten seconds, one by one: right", len({*seen, *by_sql}) - len(wrong), len({*seen, *by_sql}))]
    for series, start_ms in wrong:
        panes, rows = seen.get((series, start_ms)), by_sql.get((series, start_ms))
        name = f"{series} in the pane of {from_ms(start_ms):%H:%M:%S}"
        numbers.append(Number(f"{name}, events", None if panes is None else panes.count, None if rows is None else rows[0]))
        if panes is not None and rows is not None and panes.count == rows[0]:
            numbers[-1] = Number(f"{name}, sum", panes.sum_millionths / MILLIONTHS, rows[1] / MILLIONTHS)
    return numbers


def fraction_numbers(
    name: str, seen: Fraction, by_sql: Fraction, unit: Unit, parts: tuple[str, str, str] = ("numerator", "denominator", "value")
) -> list[Number]:
    """The three numbers of a fraction, `parts` is what they are called; `unit` is that of the value."""
    numerator, denominator, value = (f"{name}: {part}" for part in parts)
    return [
        Number(numerator, seen.numerator, by_sql.numerator, "" if unit == "ratio" else unit, tolerance=FLOAT_TOLERANCE),
        Number(denominator, seen.denominator, by_sql.denominator),
        Number(value, seen.value, by_sql.value, unit, tolerance=FLOAT_TOLERANCE),
    ]


@dataclass(frozen=True, slots=True)
class AlertBySql:
    """An alert's numbers by SQL: by the statement it carries, and those of its whole window by its other statement and from `events`."""

    judged: Fraction
    window: Fraction
    window_from_events: Fraction


def alert_numbers(alert: Alert, by_sql: AlertBySql, window_on_topic: Fraction) -> list[Number]:
    """What the alert says beside its own SQL; then its window, now that nothing more comes, on panes.v1 beside SQL of both kinds."""
    unit: Unit = "ratio" if alert.unit == "ratio" else "ms"
    name = f"alert {alert.state}"
    return [
        *fraction_numbers(
            f"{name}, as judged, by its own sql", Fraction(alert.numerator, alert.denominator, alert.value), by_sql.judged, unit
        ),
        *fraction_numbers(f"{name}, its whole window", window_on_topic, by_sql.window_from_events, unit),
        *fraction_numbers(f"{name}, its whole window, by its window_sql", window_on_topic, by_sql.window, unit),
    ]


def differing(numbers: Iterable[Number]) -> list[Number]:
    return [number for number in numbers if not number.agrees]


def readable(value: float | None, unit: Unit) -> str:
    """A value for people, with all the digits that matter."""
    if value is None:
        return "-"
    if unit == "ratio":
        return f"{value * 100:.4f} %"
    if unit == "ms":
        return f"{value:,.4f} ms"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6f}"


def _error_rate(metric: str, counts: Mapping[Series, int]) -> Fraction:
    of_metric = [(series, count) for series, count in counts.items() if series.metric == metric]
    errors = sum(count for series, count in of_metric if series.is_error)
    return Fraction.of(errors, sum(count for series, count in of_metric if series.is_in_total))
