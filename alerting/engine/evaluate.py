"""Numbers to a verdict: true, false, or unknown. Decisions 0004 and 0009 say when which.

True needs evidence in the data that is in, and must survive whatever a partition that is not in may still bring.
False needs all partitions in and none of them stalled. Everything else is unknown, and names the gate that held it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from alerting.engine.baseline import MIN_WEEKS, Usual
from alerting.engine.checks import Check, held_by
from alerting.engine.condition import AnyOf, Comparison, Node, Not
from alerting.engine.evidence import Evidence
from alerting.engine.measure import quantile_of
from alerting.engine.quantity import Quantity
from alerting.engine.rule import Gates
from alerting.engine.statistics import beyond, count_bound, failures, ratio_bound
from schemas.alert import Verdict

#: A partition is in when its effective watermark is at most so far behind the event time that is judged. An idle one is up to 4 s
#: behind by construction (a flush every 2 s, caught_up_at - 2 s).
LEVEL_WITHIN_MS: Final = 10_000

_NO_BUCKETS: Final[Mapping[int, int]] = MappingProxyType({})

#: What chance can do to it, and what events that are still to come can: parts of all events, numbers of them, or values of each.
Nature = Literal["ratio", "count", "average"]


class Asked(NamedTuple):
    """A comparison of a rule, and the evidence that the rule wants for it."""

    comparison: Comparison
    gates: Gates
    min_events: int


class Sample(NamedTuple):
    """What is known of a quantity over [window_from_ms, window_to_ms): numerator and denominator in its unit.

    value: where it is not just the one by the other, or is known already; buckets: of a quantile of panes.
    usual: of comparisons with usual times; expected: how many events would have come, of absence; answered: False where ClickHouse
    should have said it and has not.
    """

    window_from_ms: int
    window_to_ms: int
    numerator: float
    denominator: int
    value: float | None = None
    buckets: Mapping[int, int] = _NO_BUCKETS
    usual: Usual | None = None
    expected: float | None = None
    answered: bool = True

    @property
    def usual_value(self) -> float | None:
        return None if self.usual is None else self.usual.value


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the pipeline is: partitions that are not in for the window, and those that have stalled."""

    partitions: int
    missing: tuple[int, ...] = ()
    stalled: tuple[int, ...] = ()


def weigh(asked: Asked, sample: Sample, standing: Standing, by_partition: Callable[[], Sequence[int]]) -> Evidence:
    """The verdict on one comparison. `by_partition`: events of each partition, asked for where partitions are missing."""
    comparison, nature = asked.comparison, nature_of(asked.comparison)
    value = float(sample.denominator) if comparison.against == "absence" else _value(comparison.quantity, sample)
    checks = list(_amount_checks(asked, sample, nature))
    holds = False
    if not held_by(checks):
        holds = value is not None and comparison.holds(value, sample.usual_value)
        if holds:
            checks += _chance_checks(asked, sample, nature)
        lacking = _is_lack(comparison, nature)
        if not holds or lacking:
            checks.append(Check("pipeline", not standing.stalled, partitions=standing.stalled))
        harmless = not standing.missing or (holds and not lacking and _survives(comparison, sample, nature, standing, by_partition))
        checks.append(Check("partitions", harmless, needed=standing.partitions, partitions=standing.missing))
    held = bool(held_by(checks))
    return Evidence(
        comparison=comparison,
        window_from_ms=sample.window_from_ms,
        window_to_ms=sample.window_to_ms,
        verdict="unknown" if held else "true" if holds else "false",
        value=value,
        numerator=sample.denominator if comparison.against == "absence" else sample.numerator,
        denominator=sample.denominator,
        baseline=sample.expected if sample.usual is None else sample.usual_value,
        checks=tuple(checks),
    )


def decide(root: Node, evidence: Sequence[Evidence]) -> tuple[Verdict, int]:
    """Kleene's three-valued logic: the verdict of the whole, and the first comparison that it rests on."""
    return _decide(root, iter(range(len(evidence))), evidence)


def age_evidence(comparison: Comparison, flushed_ms: Sequence[int | None], listening_since_ms: int, now_ms: int) -> Evidence:
    """How long ago the partition that is silent longest flushed.

    `flushed_ms` by partition, None when nothing has been heard. Nobody is silent for longer than since `listening_since_ms`; what has
    not been heard since then is enough for true, and never for false.
    """
    silent_since_ms = [max(listening_since_ms, flushed or 0) for flushed in flushed_ms]
    oldest_ms = min(silent_since_ms)
    silent = tuple(partition for partition, since_ms in enumerate(silent_since_ms) if comparison.holds(now_ms - since_ms))
    unheard = tuple(partition for partition, flushed in enumerate(flushed_ms) if flushed is None or flushed < listening_since_ms)
    verdict: Verdict = "true" if silent else "unknown" if unheard else "false"
    return Evidence(
        comparison=comparison,
        window_from_ms=oldest_ms,
        window_to_ms=now_ms,
        verdict=verdict,
        value=now_ms - oldest_ms,
        numerator=len(silent),
        denominator=len(flushed_ms),
        baseline=None,
        checks=(Check("flushes", verdict != "unknown", needed=len(flushed_ms), partitions=silent or unheard),),
    )


def nature_of(comparison: Comparison) -> Nature:
    """A ratio of events, a number of events, or an average (a mean or a quantile) of what each has."""
    quantity = comparison.quantity
    if quantity.unit == "count" or comparison.against == "absence":
        return "count"
    ratios = {"error_ratio", "share"} | ({"reading"} if quantity.unit == "ratio" else set())
    return "ratio" if quantity.kind in ratios else "average"


def _value(quantity: Quantity, sample: Sample) -> float | None:
    if sample.value is not None:
        return sample.value
    if quantity.quantile is not None:
        return quantile_of(sample.buckets, quantity.quantile)
    if quantity.unit == "count":
        return sample.numerator
    return sample.numerator / sample.denominator if sample.denominator else None


def _amount_checks(asked: Asked, sample: Sample, nature: Nature) -> Iterator[Check]:
    """Whether there is enough to say anything at all."""
    comparison, gates = asked.comparison, asked.gates
    if not sample.answered:
        yield Check("warehouse", False)
    elif comparison.against == "absence":
        if sample.denominator == 0:
            expected = sample.expected or 0.0
            yield Check("expected", expected >= gates.min_expected, expected, gates.min_expected)
    elif sample.usual is not None and sample.usual.value is None:
        yield Check("history", False, sample.usual.weeks, MIN_WEEKS)
    elif nature != "count":
        yield Check("n", sample.denominator >= asked.min_events, sample.denominator, asked.min_events)
    elif sample.usual is not None and sample.usual.value is not None:
        yield Check("expected", sample.usual.value >= gates.min_expected, sample.usual.value, gates.min_expected)


def _chance_checks(asked: Asked, sample: Sample, nature: Nature) -> Iterator[Check]:
    """Whether chance alone could not have done it."""
    gates, events, upwards = asked.gates, sample.denominator, not asked.comparison.downwards
    confidence, limit = gates.confidence, asked.comparison.limit(sample.usual_value)
    if nature == "ratio":
        numerator = round(sample.numerator)
        against = failures(numerator, events, upwards)
        yield Check("errors", against >= gates.min_errors, against, gates.min_errors)
        if confidence:
            bound = ratio_bound(numerator, events, confidence, upwards)
            yield Check("confidence", beyond(bound, limit, upwards), bound, limit)
    elif nature == "count" and sample.usual is not None and confidence:
        bound = count_bound(events, confidence, upwards)
        yield Check("confidence", beyond(bound, limit, upwards), bound, limit)


def _is_lack(comparison: Comparison, nature: Nature) -> bool:
    """Whether it is a lack of events, or low values, that make it true: then nothing is known before everything is in."""
    return comparison.downwards and nature != "ratio"


def _survives(
    comparison: Comparison, sample: Sample, nature: Nature, standing: Standing, by_partition: Callable[[], Sequence[int]]
) -> bool:
    """Whether the limit is still passed when every missing partition brings what would change that most.

    That is as many events as the busiest partition that is in, each on the other side of the limit.
    """
    if nature == "count":
        return True
    events_of = by_partition()
    busiest = max((events for partition, events in enumerate(events_of) if partition not in standing.missing), default=0)
    to_come = sum(max(0, busiest - events_of[partition]) for partition in standing.missing)
    if busiest == 0:
        return False
    quantile = comparison.quantity.quantile
    if quantile is not None:
        value = quantile_of(sample.buckets, quantile, to_come)
        return value is not None and comparison.holds(value, sample.usual_value)
    numerator = sample.numerator + (to_come if comparison.downwards else 0)
    return comparison.holds(numerator / (sample.denominator + to_come), sample.usual_value)


def _decide(node: Node, indices: Iterator[int], evidence: Sequence[Evidence]) -> tuple[Verdict, int]:
    if isinstance(node, Comparison):
        index = next(indices)
        return evidence[index].verdict, index
    if isinstance(node, Not):
        verdict, index = _decide(node.part, indices, evidence)
        return _OPPOSITE[verdict], index
    parts = [_decide(part, indices, evidence) for part in node.parts]
    deciding: tuple[Verdict, ...] = ("true", "unknown") if isinstance(node, AnyOf) else ("false", "unknown")
    for wanted in deciding:
        for verdict, index in parts:
            if verdict == wanted:
                return verdict, index
    return parts[0]


_OPPOSITE: Final[dict[Verdict, Verdict]] = {"true": "false", "false": "true", "unknown": "unknown"}
