"""A rule and a board to a verdict: true, false, or unknown. Decision 0004 says when which.

True needs evidence in the data that is in, and must survive whatever a partition that is not in may still bring.
False needs all partitions in. Everything else is unknown, and names the gate that held it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from alerting.engine.board import Board, Tally, scale
from alerting.engine.condition import AnyOf, Comparison, Node
from alerting.engine.evidence import Evidence, Judgement, term_of
from alerting.engine.rule import Rule
from schemas.alert import Gate, Term, Verdict

#: A partition is in when its effective watermark is at most so far behind the event time that is judged. An idle one is up to 4 s
#: behind by construction (a flush every 2 s, caught_up_at - 2 s).
LEVEL_WITHIN_MS: Final = 10_000


def judge(rule: Rule, board: Board, window_to_ms: int, judged_to_ms: int) -> Judgement:
    """Judge the windows that end at `window_to_ms`, an end of a pane, on what the board knows up to `judged_to_ms`."""
    starts = {c.text: window_to_ms - (c.window_ms or rule.window_ms) for c in rule.condition.comparisons}
    return _judge(rule, board, starts, window_to_ms, judged_to_ms)


def judge_span(rule: Rule, board: Board, from_ms: int, to_ms: int, judged_to_ms: int) -> Judgement:
    """Judge the events of [from_ms, to_ms) instead of the rule's own windows: what came since an incident last was true."""
    return _judge(rule, board, {c.text: from_ms for c in rule.condition.comparisons}, to_ms, judged_to_ms)


def judge_flush_age(rule: Rule, flushed_ms: Sequence[int | None], listening_since_ms: int, now_ms: int, board: Board) -> Judgement:
    """Judge how long ago the partition that is silent longest flushed.

    `flushed_ms` by partition, None when nothing has been heard since `listening_since_ms`: such a one is silent at least since then,
    which is enough for true, and never for false.
    """
    evidence = tuple(_age_evidence(comparison, flushed_ms, listening_since_ms, now_ms) for comparison in rule.condition.comparisons)
    verdict = _combine(rule.condition.root, {e.term.text: e.term.verdict for e in evidence})
    return Judgement(
        verdict=verdict,
        window_to_ms=now_ms,
        judged_to_ms=now_ms,
        anchor_ms=evidence[0].window_from_ms,
        watermark_ms=board.watermark_ms,
        last_offsets=(),
        evidence=evidence,
        decisive=_decisive(evidence, verdict),
    )


def survives(comparison: Comparison, tallies: Sequence[Tally], missing: Sequence[int]) -> bool:
    """Whether `value > threshold` still holds when every missing partition brings what would lower it most.

    That is as many events as the busiest partition that is in, and a numerator of zero. `<` has no such bound.
    """
    if comparison.operator not in {">", ">="}:
        return False
    busiest = max((tally.denominator for partition, tally in enumerate(tallies) if partition not in missing), default=0)
    to_come = sum(max(0, busiest - tallies[partition].denominator) for partition in missing)
    total = sum(tallies, Tally())
    return busiest > 0 and comparison.holds(total.numerator / scale(comparison) / (total.denominator + to_come))


def _judge(rule: Rule, board: Board, starts: Mapping[str, int], window_to_ms: int, judged_to_ms: int) -> Judgement:
    evidence = tuple(_window_evidence(rule, board, c, (starts[c.text], window_to_ms), judged_to_ms) for c in rule.condition.comparisons)
    verdict = _combine(rule.condition.root, {e.term.text: e.term.verdict for e in evidence})
    return Judgement(
        verdict=verdict,
        window_to_ms=window_to_ms,
        judged_to_ms=judged_to_ms,
        anchor_ms=window_to_ms,
        watermark_ms=board.watermark_ms,
        last_offsets=tuple(board.last_offsets),
        evidence=evidence,
        decisive=_decisive(evidence, verdict),
    )


def _window_evidence(rule: Rule, board: Board, comparison: Comparison, window_ms: tuple[int, int], judged_to_ms: int) -> Evidence:
    tallies = board.tally(comparison, *window_ms)
    missing = board.missing(window_ms[0], judged_to_ms - LEVEL_WITHIN_MS)
    total = sum(tallies, Tally())
    enough = total.denominator >= rule.min_events
    holds = enough and comparison.holds(total.numerator / scale(comparison) / total.denominator)
    level = not missing or (holds and survives(comparison, tallies, missing))
    held_by = "" if enough and level else "n" if not enough else "partitions"
    verdict: Verdict = "unknown" if held_by else "true" if holds else "false"
    gates = (
        Gate(name="n", passed=enough, detail=f"{total.denominator} events, at least {rule.min_events} needed"),
        Gate(name="partitions", passed=level, detail=_missing_detail(missing, len(tallies), harmless=level)),
    )
    return Evidence(comparison, window_ms[0], term_of(comparison, total, verdict), gates, held_by)


def _age_evidence(comparison: Comparison, flushed_ms: Sequence[int | None], listening_since_ms: int, now_ms: int) -> Evidence:
    silent_since_ms = [listening_since_ms if flushed is None else flushed for flushed in flushed_ms]
    oldest_ms = min(silent_since_ms)
    silent = [partition for partition, since_ms in enumerate(silent_since_ms) if comparison.holds(now_ms - since_ms)]
    unheard = [partition for partition, flushed in enumerate(flushed_ms) if flushed is None]
    verdict: Verdict = "true" if silent else "unknown" if unheard else "false"
    term = Term(
        text=comparison.text,
        verdict=verdict,
        value=now_ms - oldest_ms,
        threshold=comparison.threshold,
        unit="ms",
        numerator=len(silent),
        denominator=len(flushed_ms),
    )
    detail = f"all {len(flushed_ms)} partitions flush" if verdict == "false" else f"no flush from partitions {_listed(silent or unheard)}"
    gate = Gate(name="flushes", passed=verdict != "unknown", detail=detail)
    return Evidence(comparison, oldest_ms, term, (gate,), "flushes" if verdict == "unknown" else "")


def _missing_detail(missing: list[int], partitions: int, *, harmless: bool) -> str:
    if not missing:
        return f"all {partitions} partitions are in"
    return f"partitions {_listed(missing)} are not in" + (", and could not change the verdict" if harmless else "")


def _combine(node: Node, verdicts: Mapping[str, Verdict]) -> Verdict:
    """Kleene's three-valued logic."""
    if isinstance(node, Comparison):
        return verdicts[node.text]
    parts = {_combine(part, verdicts) for part in node.parts}
    decides: Verdict = "true" if isinstance(node, AnyOf) else "false"
    if decides in parts:
        return decides
    if "unknown" in parts:
        return "unknown"
    return "false" if isinstance(node, AnyOf) else "true"


def _decisive(evidence: Sequence[Evidence], verdict: Verdict) -> int:
    """The first comparison that has the verdict of the whole; one always has."""
    return next(index for index, e in enumerate(evidence) if e.term.verdict == verdict)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
