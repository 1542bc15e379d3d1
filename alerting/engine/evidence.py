"""What a verdict rests on: numbers, window, watermark, gates, and the SQL that returns the same numbers."""

from __future__ import annotations

from dataclasses import dataclass

from alerting.engine import questions, sql
from alerting.engine.checks import Check, held_by
from alerting.engine.condition import Comparison
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.alert import Gate, Term, Unit, Verdict


@dataclass(slots=True)
class Evidence:
    """One comparison over its window, not to be changed. value = numerator / denominator in the quantity's unit, None without events.

    baseline: what is usual, where that is what the value is compared with. checks: the gates, the first that failed holds the verdict.
    """

    comparison: Comparison
    window_from_ms: int
    window_to_ms: int
    verdict: Verdict
    value: float | None
    numerator: float
    denominator: float
    baseline: float | None
    checks: tuple[Check, ...]

    @property
    def held_by(self) -> str:
        """The gate that made it unknown, else ''."""
        return held_by(self.checks) if self.verdict == "unknown" else ""

    @property
    def unit(self) -> Unit:
        """Of value and baseline: that of the quantity; what is absent is counted."""
        return "count" if self.comparison.against == "absence" else self.comparison.quantity.unit

    @property
    def term(self) -> Term:
        """The comparison with its numbers."""
        return Term(
            text=self.comparison.text,
            verdict=self.verdict,
            value=self.value,
            threshold=self.comparison.threshold,
            unit=self.unit,
            numerator=self.numerator,
            denominator=self.denominator,
            baseline=self.baseline,
        )

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Every gate that was asked, and what it said."""
        return tuple(check.gate() for check in self.checks)


@dataclass(slots=True)
class Judgement:
    """One look of a rule at the windows of one series that end at `window_to_ms`, not to be changed.

    evidence: its comparisons in the order written; decisive: which one decided.
    judged_to_ms: event time up to which events were judged; last_offsets: what had been read by then, by partition.
    anchor_ms: names the incident if one begins here: the end of the window, or for silent partitions their last flush.
    """

    rule: Rule
    series: Series
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
    def gates(self) -> tuple[Gate, ...]:
        """Those of the deciding comparison."""
        return self.deciding.gates

    @property
    def held_by(self) -> str:
        """The gate that made the verdict unknown, else ''."""
        return self.deciding.held_by if self.verdict == "unknown" else ""

    def of(self, term_text: str) -> Evidence:
        """The evidence of one comparison by its text; that of the deciding one if the rule no longer has it."""
        return next((evidence for evidence in self.evidence if evidence.comparison.text == term_text), self.deciding)

    def sql(self, evidence: Evidence) -> str:
        """See `schemas.alert.Alert.sql`."""
        window = (evidence.window_from_ms, evidence.window_to_ms)
        match self.rule.source_of(evidence.comparison):
            case "panes":
                return sql.as_judged(evidence.comparison, self.series, *window, self.last_offsets)
            case "warehouse":
                return questions.value_sql(evidence.comparison, *window, series=self.series)
            case "flushes":
                return ""

    def window_sql(self, evidence: Evidence) -> str:
        """See `schemas.alert.Alert.window_sql`."""
        if self.rule.source_of(evidence.comparison) != "panes":
            return ""
        return sql.when_closed(evidence.comparison, self.series, evidence.window_from_ms, evidence.window_to_ms)

    def reason(self) -> str:
        """One line: what the verdict rests on."""
        for check in self.deciding.checks:
            if check.name == self.held_by:
                return check.gate().detail
        return f"{self.deciding.comparison.text} is {self.deciding.verdict}: {amount(self.deciding)}"


def readable(value: float | None, unit: Unit) -> str:
    """A value for people: `6.25 %`, `31.2 s`, `250 ms`, `3.8`; at most four significant digits, of a count all."""
    if value is None:
        return "no events"
    match unit:
        case "ratio":
            return f"{value * 100:.4g} %"
        case "ms":
            return f"{value / 1000:.4g} s" if value >= 1000 else f"{value:.4g} ms"
        case "rating":
            return f"{value:.4g}"
        case "count":
            return f"{value:.0f}"


def amount(evidence: Evidence) -> str:
    """The value and what it was made of: `6.25 % (3250 of 52000)`, `31.2 s (mean of 840)`, `31 s (no flush from partitions 3, 7)`."""
    quantity = evidence.comparison.quantity
    text = readable(evidence.value, evidence.unit)
    if quantity.kind == "flush_age":
        return f"{text} ({evidence.checks[0].gate().detail})"
    made_of = [f"usually {readable(evidence.baseline, evidence.unit)}"] if evidence.baseline is not None else []
    if evidence.unit == "ratio" and quantity.kind != "mean":
        made_of.insert(0, f"{evidence.numerator:.0f} of {evidence.denominator:.0f}")
    elif evidence.unit != "count":
        name = f"p{quantity.quantile * 100:g}" if quantity.quantile is not None else "mean"
        made_of.insert(0, f"{name} of {evidence.denominator:.0f}")
    return f"{text} ({', '.join(made_of)})" if made_of else text
