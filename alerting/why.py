"""Why somebody was paged about a rule at some time, or was not: from what was decided, held back and delivered. Pure.

Facts are what `alerting.why_facts` reads from ClickHouse. The first sentence is the answer; everything that led to it follows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from schemas.timestamps import isoformat_ms

#: A rule that has not been judged for so long before the moment was not judged at all.
JUDGED_WITHIN_S: Final = 180
#: Heartbeats come every 15 s.
_SILENT_S: Final = 60
#: Alerter and notifier are different processes, perhaps on different machines.
_CLOCKS_DIFFER_S: Final = 5
_RECORDED_ONLY: Final = frozenset({"retro_fired", "retro_cleared"})
_FAILED: Final = frozenset({"rejected", "gave_up", "failed_over", "retrying"})
_OVER: Final = frozenset({"resolved", "retro_cleared"})


@dataclass(frozen=True, slots=True)
class Judged:
    """How a rule, or one of its series, stood. gate: the name of the first that did not let the verdict pass, '' when all did."""

    window_to: datetime
    verdict: str
    reason: str
    gate: str
    gate_detail: str
    labels: dict[str, str]
    state: str
    series: dict[str, int]


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident that was open at some time of the minute, as it was then. state: of its newest transition before the end."""

    incident_key: str
    group_key: str
    state: str
    since: datetime
    fired_at: datetime
    summary: str
    acked_by: str = ""
    snoozed_until: datetime | None = None
    next_due_at: datetime | None = None
    next_targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A notification that was due and was held back."""

    at: datetime
    incident_key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one notification. receiver, action and outcome as on `deliveries.v1`."""

    at: datetime
    group_key: str
    receiver: str
    action: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of `rule` up to `at`. minute: the newest row of a minute; verdicts: the newest change of each series before."""

    rule: str
    at: datetime
    minute: Judged | None = None
    verdicts: tuple[Judged, ...] = ()
    incidents: tuple[Incident, ...] = ()
    held: tuple[Held, ...] = ()
    told: tuple[Told, ...] = ()
    heartbeat_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`sentence` answers; `facts` is what it rests on."""

    sentence: str
    facts: Facts
    lines: tuple[str, ...] = field(default=())


def explain(facts: Facts) -> Answer:
    """The answer for people and programs."""
    sentences = [_of_incident(incident, facts) for incident in facts.incidents] or [_of_no_incident(facts)]
    return Answer(" ".join(sentences), facts, tuple(_lines(facts)))


def as_lines(answer: Answer) -> list[str]:
    """For people: the sentence, and what it rests on. Labels and summaries may have anything in them that senders send."""
    return [answer.sentence, *(f"  {line}" for line in answer.lines)]


def as_document(answer: Answer) -> dict[str, Any]:
    """For programs; times are datetimes."""
    return {"sentence": answer.sentence, **asdict(answer.facts)}


def _of_incident(incident: Incident, facts: Facts) -> str:
    told = [one for one in _told_of_group(incident, facts) if not _is_before(one, incident)]
    delivered = {one.receiver: one for one in told if one.outcome == "delivered"}
    failed = {one.receiver: one for one in told if one.outcome in _FAILED and one.receiver not in delivered}
    fired = f"{facts.rule} {'fired' if incident.state in _OVER else 'fires'} since {_clock(incident.fired_at, facts)}"
    if delivered:
        names = ", ".join(f"{name} at {_clock(one.at, facts)}" for name, one in delivered.items())
        return f"{fired}, and was told to {names}{_but(failed)}."
    return f"{fired}, and nobody had been told by {_clock(facts.at, facts)}: {_reason_not_told(incident, facts, failed)}."


def _told_of_group(incident: Incident, facts: Facts) -> list[Told]:
    return [one for one in facts.told if one.group_key == incident.group_key and one.action == "trigger"]


def _is_before(told: Told, incident: Incident) -> bool:
    """Whether the group was told of before this incident was there to be told of."""
    return (incident.fired_at - told.at).total_seconds() > _CLOCKS_DIFFER_S


def _but(failed: dict[str, Told]) -> str:
    return "".join(f", but not to {name} ({_outcome(one)})" for name, one in failed.items())


def _reason_not_told(incident: Incident, facts: Facts, failed: dict[str, Told]) -> str:
    if incident.state in _RECORDED_ONLY:
        return "its window had ended more than 15 minutes before it could be judged, so it was recorded and pages nobody"
    if failed:
        return "; ".join(f"{name}: {_outcome(one)}" for name, one in failed.items())
    return _reason_not_sent(incident, facts)


def _reason_not_sent(incident: Incident, facts: Facts) -> str:
    held = [one for one in facts.held if one.incident_key == incident.incident_key]
    if incident.snoozed_until is not None and incident.snoozed_until > facts.at:
        return f"it was snoozed until {_clock(incident.snoozed_until, facts)}"
    if held:
        return held[-1].reason
    if incident.acked_by:
        return f"{incident.acked_by} had acknowledged it"
    before = [one for one in _told_of_group(incident, facts) if one.outcome == "delivered" and _is_before(one, incident)]
    if before:
        return f"its group had been told of at {_clock(before[-1].at, facts)}, and newer incidents of a group wait for a while"
    if incident.next_due_at is not None:
        return f"the first to be told were {', '.join(incident.next_targets)} at {_clock(incident.next_due_at, facts)}"
    return "nothing had been handed to the notifier, or it has not said what came of it; look at its log"


def _of_no_incident(facts: Facts) -> str:
    nobody = f"Nobody was paged about {facts.rule} at {_clock(facts.at, facts)}"
    looks = [*facts.verdicts, *([] if facts.minute is None else [facts.minute])]
    judged = max(looks, key=lambda look: (look.window_to, look is facts.minute), default=None)
    if judged is None or (facts.at - judged.window_to).total_seconds() > JUDGED_WITHIN_S:
        return f"{nobody}: {_not_judged(judged, facts)}."
    where = f" for {_labels(judged.labels)}" if judged.labels else ""
    if judged.state == "pending" or judged.gate == "for":
        return f"{nobody}: the condition was true{where}, and not yet for long enough: {judged.gate_detail or judged.reason}."
    if judged.verdict == "unknown":
        gate = f"the gate `{judged.gate}` held it back: {judged.gate_detail}" if judged.gate else judged.reason
        return f"{nobody}: it could not be said whether the condition was true{where}; {gate}."
    if judged.verdict == "false":
        return f"{nobody}: the condition was false{where}: {judged.reason}."
    return f"{nobody}: the condition had just become true{where}: {judged.reason}."


def _not_judged(judged: Judged | None, facts: Facts) -> str:
    silent = facts.heartbeat_at is None or (facts.at - facts.heartbeat_at).total_seconds() > _SILENT_S
    if silent:
        last = "none is known before" if facts.heartbeat_at is None else f"the last sign before was at {_clock(facts.heartbeat_at, facts)}"
        return f"no alerter acted then, {last}"
    if judged is None:
        return "an alerter acted, but the rule has never been judged before: nothing has come that it is about, or it is new"
    return f"an alerter acted, but the rule was last judged at {_clock(judged.window_to, facts)}: nothing came that it is about"


def _lines(facts: Facts) -> list[str]:
    lines = []
    if facts.minute is not None:
        states = ", ".join(f"{count} {state}" for state, count in facts.minute.series.items())
        lines.append(f"minute to {_clock(facts.minute.window_to, facts)}: {_stood(facts.minute)}{f' ({states})' if states else ''}")
    lines += [f"since {_clock(one.window_to, facts)}: {_stood(one)}" for one in facts.verdicts]
    for incident in facts.incidents:
        told = f", acknowledged by {incident.acked_by}" if incident.acked_by else ""
        lines.append(f"incident {incident.incident_key[:12]}: {incident.state}{told}: {incident.summary}")
        if incident.next_due_at is not None:
            lines.append(f"  next: {', '.join(incident.next_targets)} at {_clock(incident.next_due_at, facts)}")
    lines += [f"held {_clock(one.at, facts)}: {one.reason}" for one in facts.held]
    lines += [f"told {_clock(one.at, facts)}: {one.receiver}, {one.action}: {_outcome(one)}" for one in facts.told]
    if facts.heartbeat_at is not None:
        lines.append(f"the alerter's last sign before: {_clock(facts.heartbeat_at, facts)}")
    return lines


def _stood(judged: Judged) -> str:
    gate = f", gate `{judged.gate}`" if judged.gate else ""
    where = f" {_labels(judged.labels)}" if judged.labels else ""
    return f"{judged.verdict}{gate}, {judged.state or 'inactive'}{where}: {judged.gate_detail if judged.gate else judged.reason}"


def _outcome(told: Told) -> str:
    return f"{told.outcome}, {told.reason}" if told.reason else told.outcome


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def _clock(instant: datetime, facts: Facts) -> str:
    """The time of day; with its date when that is another."""
    text = isoformat_ms(instant)
    return text[11:19] if text[:10] == isoformat_ms(facts.at)[:10] else f"{text[:10]} {text[11:19]}"
