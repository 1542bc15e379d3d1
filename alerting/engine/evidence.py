"""What a verdict rests on: numbers, window, watermark, gates, and the SQL that returns the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerting.engine.board import Tally, scale
from alerting.engine.condition import Comparison
from schemas.alert import Gate, Term, Unit, Verdict
from schemas.metrics import Metric
from schemas.timestamps import from_ms


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison over its window. `held_by` names the gate that made it unknown, else ''."""

    comparison: Comparison
    window_from_ms: int
    term: Term
    gates: tuple[Gate, ...]
    held_by: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One look of a rule at the windows that end at `window_to_ms`: its comparisons in the order written, and which one decided.

    judged_to_ms: event time up to which events were judged; last_offsets: what had been read by then, by partition.
    anchor_ms: names the incident if one begins here: the end of the window, or for silent partitions their last flush.
    """

    verdict: Verdict
    window_to_ms: int
    judged_to_ms: int
    anchor_ms: int
    watermark_ms: int | None
    last_offsets: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    decisive: int

    @property
    def deciding(self) -> Evidence:
        return self.evidence[self.decisive]

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(evidence.term for evidence in self.evidence)

    @property
    def held_by(self) -> str:
        """The gate that made the verdict unknown, else ''."""
        return self.deciding.held_by if self.verdict == "unknown" else ""

    def of(self, term_text: str) -> Evidence:
        """The evidence of one comparison by its text; that of the deciding one if the rule no longer has it."""
        return next((evidence for evidence in self.evidence if evidence.term.text == term_text), self.deciding)

    def sql(self, evidence: Evidence) -> str:
        """See `schemas.alert.Alert.sql`."""
        window = (evidence.window_from_ms, self.window_to_ms)
        return "" if evidence.comparison.quantity.metric is None else sql_as_judged(evidence.comparison, *window, self.last_offsets)

    def window_sql(self, evidence: Evidence) -> str:
        """See `schemas.alert.Alert.window_sql`."""
        window = (evidence.window_from_ms, self.window_to_ms)
        return "" if evidence.comparison.quantity.metric is None else sql_when_closed(evidence.comparison, *window)

    def reason(self) -> str:
        """One line: what the verdict rests on."""
        for gate in self.deciding.gates:
            if gate.name == self.held_by:
                return gate.detail
        term = self.deciding.term
        return f"{term.text} is {term.verdict}: {amount(self.deciding)}"


def term_of(comparison: Comparison, tally: Tally, verdict: Verdict) -> Term:
    """The comparison with its numbers in the quantity's unit."""
    numerator = tally.numerator / scale(comparison)
    value = numerator / tally.denominator if tally.denominator else None
    return Term(
        text=comparison.text,
        verdict=verdict,
        value=value,
        threshold=comparison.threshold,
        unit=comparison.quantity.unit,
        numerator=numerator,
        denominator=tally.denominator,
    )


def sql_as_judged(comparison: Comparison, window_from_ms: int, window_to_ms: int, last_offsets: Sequence[int]) -> str:
    """The numbers as they were judged: the window's events among those that had been read, from the de-duplicated truth.

    `last_offsets` by partition, -1 where nothing had been read.
    """
    quantity = comparison.quantity
    assert quantity.metric is not None, "only a quantity with a metric is in the warehouse"
    if quantity.kind == "mean":
        numerator, denominator = f"sum({quantity.value_column})", "count()"
    else:
        numerator, denominator = (
            _count(quantity.metric, values) for values in (quantity.metric.error_values, quantity.metric.total_values)
        )
    selection = "".join(f" AND ifNull({name}, '') = {_quoted(value)}" for name, value in comparison.labels)
    selection += "" if quantity.metric.counts_bots else " AND empty(bot_reasons)"
    return (
        f"SELECT {numerator} AS numerator, {denominator} AS denominator, numerator / denominator AS value FROM telemetry.{quantity.view}"
        f" WHERE occurred_at >= '{_sql_time(window_from_ms)}' AND occurred_at < '{_sql_time(window_to_ms)}'{selection}"
        f" AND kafka_offset <= [{', '.join(map(str, last_offsets))}][kafka_partition + 1]"
    )


def sql_when_closed(comparison: Comparison, window_from_ms: int, window_to_ms: int) -> str:
    """The numbers of the whole window, from the sliding views; the same as the board's once all panes of the window are closed."""
    quantity = comparison.quantity
    assert quantity.metric is not None, "only a quantity with a metric is in the warehouse"
    view, numerator, denominator = (
        ("latency_at", "sum(mean_ms * count)", "sum(count)") if quantity.kind == "mean" else ("error_rate_at", "sum(errors)", "sum(total)")
    )
    selection = "".join(f" AND labels[{_quoted(name)}] = {_quoted(value)}" for name, value in comparison.labels)
    window_s = (window_to_ms - window_from_ms) // 1000
    return (
        f"SELECT {numerator} AS numerator, {denominator} AS denominator, numerator / denominator AS value"
        f" FROM telemetry.{view}(end = '{_sql_time(window_to_ms)[:-4]}', window_s = {window_s})"
        f" WHERE metric = {_quoted(quantity.metric.name)}{selection}"
    )


def readable(value: float | None, unit: Unit) -> str:
    """A value for people: `6.25 %`, `31.2 s`, `250 ms`; at most four significant digits."""
    if value is None:
        return "no events"
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    return f"{value / 1000:.4g} s" if value >= 1000 else f"{value:.4g} ms"


def amount(evidence: Evidence) -> str:
    """The value and what it was made of: `6.25 % (3250 of 52000)`, `31.2 s (mean of 840)`, `31 s (partitions 3, 7)`."""
    term, kind = evidence.term, evidence.comparison.quantity.kind
    if kind == "flush_age":
        return f"{readable(term.value, term.unit)} ({evidence.gates[0].detail})"
    made_of = f"mean of {term.denominator:.0f}" if kind == "mean" else f"{term.numerator:.0f} of {term.denominator:.0f}"
    return f"{readable(term.value, term.unit)} ({made_of})"


def _count(metric: Metric, values: frozenset[str]) -> str:
    """How many events have one of the values of the error label; no values stand for all."""
    return f"countIf({metric.error_label} IN ({', '.join(map(_quoted, sorted(values)))}))" if values else "count()"


def _sql_time(ms: int) -> str:
    return from_ms(ms).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
