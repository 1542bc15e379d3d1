"""What is worth a line on `decisions.v1`: the verdict of a rule, or the gate that holds it, became another.

The verdict of a window is what the last look at it said. So there is at most one line per rule and pane, and one per transition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from alerting.engine.evidence import Judgement
from alerting.engine.identity import digest
from schemas.alert import Alert, Verdict
from schemas.command import Silence
from schemas.decision import Decision
from schemas.escalation import PlannedStep
from schemas.timestamps import from_ms, isoformat_ms


@dataclass(frozen=True, slots=True)
class VerdictTrack:
    """Of one rule: the verdict and failed gates as last recorded, and the newest look at its newest window."""

    verdict: Verdict | None = None
    failed_gates: tuple[str, ...] = ()
    newest: Judgement | None = None


def restore_track(decision: Decision) -> VerdictTrack:
    """The track as the rule's last recorded verdict left it."""
    return VerdictTrack(decision.verdict, tuple(gate.name for gate in decision.gates if not gate.passed))


def follow(
    track: VerdictTrack, rule: str, judgement: Judgement, transition: Alert | None, now_ms: int
) -> tuple[VerdictTrack, Decision | None]:
    """The track after one more look, and the decision to publish: at a transition at once, else when the window is behind."""
    if transition is not None:
        return _record(track, rule, judgement, transition.incident_key, now_ms)
    newest = track.newest
    if newest is None or judgement.window_to_ms == newest.window_to_ms:
        later = newest is None or judgement.judged_to_ms >= newest.judged_to_ms
        return replace(track, newest=judgement if later else newest), None
    if judgement.window_to_ms < newest.window_to_ms:
        return track, None
    moved = replace(track, newest=judgement)
    if (newest.verdict, _failed(newest)) == (track.verdict, track.failed_gates):
        return moved, None
    recorded, decision = _record(track, rule, newest, None, now_ms)
    return replace(recorded, newest=judgement), decision


def suppression(alert: Alert, step: PlannedStep, silence: Silence, now_ms: int) -> Decision:
    """A page that is due is held back by a silence."""
    return Decision(
        decision_id=digest(alert.incident_key, "suppression", step.step, silence.silence_id),
        rule=alert.rule,
        kind="suppression",
        at=from_ms(now_ms),
        verdict="true",
        previous="true",
        reason=f"step {step.step} is held back: {silence.by} silenced the rule until {isoformat_ms(silence.until)}: {silence.reason}",
        incident_key=alert.incident_key,
        window_from=None,
        window_to=None,
        judged_to=None,
        terms=(),
        gates=(),
    )


def _record(
    track: VerdictTrack, rule: str, judgement: Judgement, incident_key: str | None, now_ms: int
) -> tuple[VerdictTrack, Decision | None]:
    deciding = judgement.deciding
    decision = Decision(
        decision_id=digest(rule, judgement.verdict, _failed(judgement), judgement.window_to_ms, judgement.judged_to_ms, incident_key),
        rule=rule,
        kind="verdict",
        at=from_ms(now_ms),
        verdict=judgement.verdict,
        previous=track.verdict,
        reason=judgement.reason(),
        incident_key=incident_key,
        window_from=from_ms(deciding.window_from_ms),
        window_to=from_ms(judgement.window_to_ms),
        judged_to=from_ms(judgement.judged_to_ms),
        terms=judgement.terms,
        gates=deciding.gates,
    )
    return VerdictTrack(judgement.verdict, _failed(judgement), judgement), decision


def _failed(judgement: Judgement) -> tuple[str, ...]:
    return tuple(gate.name for gate in judgement.deciding.gates if not gate.passed)
