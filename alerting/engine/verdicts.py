"""The ledger: what is worth a line on `decisions.v1` of how the rules were judged.

`verdict`: of a series, the verdict or the gate that holds it became another. True is said at once; anything else is what the last look
at a window said, once the window is behind, so that partitions that are not level are not a row each.
`minute`: of a rule, once a minute of event time, by its worst series.

What is said, and under which id, depends on the judgements alone: judged again, after a restart or over a recorded log, it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from alerting.engine.announcement import for_gate
from alerting.engine.evidence import Judgement
from alerting.engine.identity import digest
from alerting.engine.lifecycle import Lifecycle, Standing
from alerting.engine.series import WHOLE, Series
from schemas.alert import Verdict
from schemas.decision import Decision, DecisionKind, SeriesState
from schemas.timestamps import from_ms

_MINUTE_MS: Final = 60_000
#: A series nobody has looked at for so long begins anew when it is seen again. Less than what an engine observes before it acts.
FORGOTTEN_AFTER_MS: Final = 240_000
_WORST_STATES: Final[tuple[SeriesState, ...]] = ("firing", "acknowledged", "no_data", "pending", "retro_fired", "inactive")
_WORST_VERDICTS: Final[tuple[Verdict, ...]] = ("true", "unknown", "false")


class Look(NamedTuple):
    """One judgement, and what is known of the incidents of its series after it."""

    judgement: Judgement
    lifecycle: Lifecycle

    @property
    def standing(self) -> Standing:
        """How the series stood at the time that was judged, which is the past when flushes are read again."""
        return self.lifecycle.at(self.judgement.judged_to_ms)

    @property
    def verdict(self) -> tuple[Verdict, str]:
        """And the gate that holds it back, '' when none does."""
        judgement = self.judgement
        if judgement.verdict == "true":
            return "true", "for" if judgement.rule.for_ms and self.standing.state == "pending" else ""
        return judgement.verdict, judgement.held_by


@dataclass(slots=True)
class _Track:
    """Of one series: verdict and gate as last recorded, and the newest look at its newest window."""

    recorded: tuple[Verdict, str] | None
    newest: Look


@dataclass(slots=True)
class _RuleLedger:
    tracks: dict[Series, _Track]
    minute_ms: int = 0


class Ledger:
    """Shown every look, in the order of the log; what it yields is to be published, unless an earlier engine has done so."""

    def __init__(self) -> None:
        self._rules: dict[str, _RuleLedger] = {}

    def follow(self, look: Look, now_ms: int) -> Iterator[Decision]:
        """What one more look adds. Consume it all."""
        judgement = look.judgement
        of_rule = self._rules.get(judgement.rule.name)
        if of_rule is None:
            of_rule = self._rules[judgement.rule.name] = _RuleLedger({})
        minute_ms = -(-judgement.window_to_ms // _MINUTE_MS) * _MINUTE_MS
        if minute_ms > of_rule.minute_ms:
            if of_rule.minute_ms:
                yield from _end_minute(of_rule, judgement.window_to_ms, now_ms)
            of_rule.minute_ms = minute_ms
        track = of_rule.tracks.get(judgement.series)
        if track is None:
            track = of_rule.tracks[judgement.series] = _Track(_first_recorded(look), look)
        elif judgement.window_to_ms > track.newest.judgement.window_to_ms:
            yield from _record(track, now_ms)
            track.newest = look
        elif (judgement.window_to_ms, judgement.judged_to_ms) >= _moment(track.newest):
            track.newest = look
        else:
            return
        if judgement.verdict == "true":
            yield from _record(track, now_ms)


def _end_minute(of_rule: _RuleLedger, reached_ms: int, now_ms: int) -> Iterator[Decision]:
    """Every series as it stood at the end of the minute; those that have not been looked at for long are forgotten."""
    for track in of_rule.tracks.values():
        yield from _record(track, now_ms)
    if of_rule.tracks:
        yield _minute(of_rule, now_ms)
    for series, track in list(of_rule.tracks.items()):
        if track.newest.lifecycle.state == "inactive" and reached_ms - track.newest.judgement.window_to_ms > FORGOTTEN_AFTER_MS:
            del of_rule.tracks[series]


def _minute(of_rule: _RuleLedger, now_ms: int) -> Decision:
    stood = [(track.newest, track.newest.standing) for track in of_rule.tracks.values()]
    worst, _ = min(stood, key=lambda one: _badness(*one))
    states: dict[SeriesState, int] = {}
    for _, standing in stood:
        states[standing.state] = states.get(standing.state, 0) + 1
    decision_id = digest(worst.judgement.rule.name, "minute", of_rule.minute_ms)
    series = {state: states[state] for state in _WORST_STATES if state in states}
    return _decision(worst, "minute", decision_id, now_ms).model_copy(update={"series": series})


def _record(track: _Track, now_ms: int) -> Iterator[Decision]:
    """The newest look, if it says something else than what is recorded."""
    look, judgement = track.newest, track.newest.judgement
    if look.verdict == track.recorded:
        return
    previous, track.recorded = track.recorded, look.verdict
    # Silent partitions are judged by the clock: what the log knows of them is when they fell silent.
    moment_ms = judgement.anchor_ms if judgement.rule.watches_pipeline else judgement.window_to_ms
    decision_id = digest(judgement.rule.name, *_pairs(judgement.series), "verdict", *look.verdict, moment_ms)
    yield _decision(look, "verdict", decision_id, now_ms, None if previous is None else previous[0])


def _first_recorded(look: Look) -> tuple[Verdict, str] | None:
    """That one more series was seen, and nothing is wrong with it, is no news; that a rule is judged is."""
    return None if look.judgement.series == WHOLE or look.judgement.verdict == "true" else look.verdict


def _decision(look: Look, kind: DecisionKind, decision_id: str, now_ms: int, previous: Verdict | None = None) -> Decision:
    judgement, standing = look.judgement, look.standing
    held_for = for_gate(judgement, standing.since_ms) if judgement.verdict == "true" and standing.since_ms is not None else None
    return Decision(
        decision_id=decision_id,
        rule=judgement.rule.name,
        kind=kind,
        at=from_ms(now_ms),
        verdict=judgement.verdict,
        previous=previous,
        reason=held_for.detail if held_for is not None and not held_for.passed else judgement.reason(),
        incident_key=standing.incident_key,
        window_from=from_ms(judgement.deciding.window_from_ms),
        window_to=from_ms(judgement.window_to_ms),
        judged_to=from_ms(judgement.judged_to_ms),
        terms=judgement.terms,
        gates=judgement.gates if held_for is None else (*judgement.gates, held_for),
        labels=dict(judgement.series),
        state=standing.state,
    )


def _badness(look: Look, standing: Standing) -> tuple[int, int, Series]:
    return _WORST_STATES.index(standing.state), _WORST_VERDICTS.index(look.judgement.verdict), look.judgement.series


def _moment(look: Look) -> tuple[int, int]:
    return look.judgement.window_to_ms, look.judgement.judged_to_ms


def _pairs(series: Series) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in series)
