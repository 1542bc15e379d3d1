"""What the conformance kit plays to a consumer, and what it must say in the end. Pure.

Every value is made from the models. What is expected is written down with the records, not computed from them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from schemas.alert import Alert, AlertState, Severity
from schemas.escalation import Escalation, EscalationEvent
from schemas.timestamps import from_ms

ALERTS: Final = "alerts.v1"
ESCALATIONS: Final = "escalations.v1"

_START: Final = from_ms(1_795_428_000_000)
_LATER_VERSION: Final = {"a_field_of_a_later_version": {"deeply": [1, None, "é"]}, "another": None}
#: Incidents of the scenario that mixes many.
_MANY: Final = 40


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a consumer of Kafka gets it, key and value decoded."""

    topic: str
    key: str
    value: Mapping[str, Any]

    def line(self) -> str:
        """One JSON object."""
        return json.dumps({"topic": self.topic, "key": self.key, "value": self.value})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a consumer says in the end: incidents that are open, and how often each was paged about (those never paged left out)."""

    open: Mapping[str, tuple[str, str]]
    pages: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        states = {key: {"state": state, "severity": severity} for key, (state, severity) in self.open.items()}
        return {"open": states, "pages": dict(self.pages)}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Records in the order in which they come. `promise` is what a consumer breaks that answers otherwise."""

    name: str
    promise: str
    records: tuple[Record, ...]
    answer: Answer


class _Incident:
    """Makes the records of one incident, each with a time of its own."""

    def __init__(self, name: str, severity: Severity = "critical") -> None:
        self.key, self._severity, self._n = _digest(name), severity, 0

    def alert(self, state: AlertState, cause: str = "") -> Record:
        """A transition to `state`; the same `cause` again is the same transition."""
        return Record(ALERTS, self.key, self._alert(state, cause).model_dump(mode="json"))

    def escalation(self, event: EscalationEvent, cause: str = "", target: str | None = None, *, notify: bool = True) -> Record:
        alert = self._alert("resolved" if event == "resolved" else "firing", "")
        value = Escalation(
            escalation_id=_digest(self.key, "escalation", event, cause, target or ""),
            incident_key=self.key,
            rule=alert.rule,
            severity=self._severity,
            event=event,
            step=0 if event == "step_due" else None,
            target=target,
            due_at=alert.at if event == "step_due" else None,
            at=alert.at,
            actor="alerter",
            command_id=None,
            reason="conformance",
            plan=(),
            alert=alert,
            group_key=self.key,
            notify=notify,
        )
        return Record(ESCALATIONS, self.key, value.model_dump(mode="json"))

    def _alert(self, state: AlertState, cause: str) -> Alert:
        self._n += 1
        at = _START + timedelta(seconds=self._n)
        return Alert(
            transition_id=_digest(self.key, state, cause),
            incident_key=self.key,
            rule="Menu Generation Critical",
            severity=self._severity,
            state=state,
            at=at,
            since=_START,
            condition="error_rate > 5%",
            term="error_rate > 5%",
            value=0.0625,
            threshold=0.05,
            unit="ratio",
            numerator=5,
            denominator=80,
            window_from=_START - timedelta(minutes=1),
            window_to=_START,
            judged_to=_START,
            watermark=None,
            labels={"provider": "ollama"},
            terms=(),
            gates=(),
            sql="",
            window_sql="",
            summary="error_rate is 6.25 %, above 5 %",
            reason="conformance",
            runbook="",
            channels=("slack-critical",),
        )


def scenarios() -> tuple[Scenario, ...]:
    """All of them, the simplest first."""
    return (
        _one_incident(),
        _duplicates(),
        _a_transition_again_later(),
        _many_incidents(),
        _topics_apart(),
        _a_late_start(),
        _unknown_fields(),
        _fields_missing(),
        _unknown_states(),
        _told_with_its_group(),
    )


def _scenario(
    name: str, promise: str, records: Iterable[Record], is_open: Mapping[str, tuple[str, str]], pages: Mapping[str, int]
) -> Scenario:
    return Scenario(name, promise, tuple(records), Answer(is_open, pages))


def _one_incident() -> Scenario:
    over, stays = _Incident("over"), _Incident("stays", "high")
    records = [
        over.alert("firing"),
        over.escalation("opened"),
        over.escalation("step_due", "0", "slack-critical"),
        stays.alert("firing"),
        over.alert("acknowledged", "alice"),
        stays.alert("no_data", "later"),
        over.alert("resolved"),
        over.escalation("resolved"),
    ]
    return _scenario("plain", "an incident is what its newest transition says", records, {stays.key: ("no_data", "high")}, {over.key: 1})


def _duplicates() -> Scenario:
    over, stays = _Incident("over"), _Incident("stays")
    records = [
        over.alert("firing"),
        over.escalation("step_due", "0", "slack-critical"),
        over.escalation("step_due", "0", "pagerduty"),
        stays.alert("firing"),
        over.alert("resolved"),
    ]
    doubled = [record for record in records for _ in range(2)]
    again = [*doubled, *records]
    return _scenario("duplicates", "a record that comes again changes nothing", again, {stays.key: ("firing", "critical")}, {over.key: 2})


def _a_transition_again_later() -> Scenario:
    over, unacked = _Incident("over"), _Incident("unacked")
    records = [
        over.alert("firing"),
        unacked.alert("firing"),
        unacked.alert("acknowledged", "ack"),
        over.alert("resolved"),
        unacked.alert("firing", "unack"),
        unacked.alert("acknowledged", "ack"),  # written again by a process that did not know that it had been: later, by its clock
        over.alert("firing"),
    ]
    promise = "of several records with one transition_id the first counts, whatever came in between and whatever they say of the time"
    return _scenario("a transition again, later", promise, records, {unacked.key: ("firing", "critical")}, {})


def _many_incidents() -> Scenario:
    incidents = [_Incident(f"many {n}", "low") for n in range(_MANY)]
    lives: list[list[Record]] = []
    for n, incident in enumerate(incidents):
        page = incident.escalation("step_due", "0", "dev-team")
        life = [incident.alert("firing"), page, incident.alert("acknowledged", "a"), page]
        lives.append([*life, incident.alert("resolved"), life[0]] if n % 2 else life)
    records, chance = [], random.Random(6)
    while lives:
        life = chance.choice(lives)
        records.append(life.pop(0))
        lives = [left for left in lives if left]
    is_open = {incident.key: ("acknowledged", "low") for incident in incidents[::2]}
    pages = {incident.key: 1 for incident in incidents}
    return _scenario("many at once", "only records of one key are in order", records, is_open, pages)


def _topics_apart() -> Scenario:
    one, other = _Incident("escalations first"), _Incident("alerts first")
    escalations = [incident.escalation(event, event, target) for incident in (one, other) for event, target in _LIFE]
    alerts = [record for incident in (one, other) for record in (incident.alert("firing"), incident.alert("resolved"))]
    records = [*escalations[:5], *alerts, *escalations[5:]]
    promise = "the two topics are not in order with each other: an escalation may come before its alert"
    return _scenario("topics apart", promise, records, {}, {one.key: 2, other.key: 2})


_LIFE: Final[tuple[tuple[EscalationEvent, str | None], ...]] = (
    ("opened", None),
    ("step_due", "slack-critical"),
    ("repeated", "slack-critical"),
    ("acked", None),
    ("resolved", None),
)


def _a_late_start() -> Scenario:
    over, acked, daily = _Incident("ended before"), _Incident("acked before"), _Incident("published daily", "medium")
    again = daily.alert("firing")
    records = [over.alert("resolved"), over.escalation("resolved"), acked.alert("acknowledged", "a"), again, again]
    is_open = {acked.key: ("acknowledged", "critical"), daily.key: ("firing", "medium")}
    return _scenario("a late start", "the beginning of an incident may be older than what the topic still has", records, is_open, {})


def _unknown_fields() -> Scenario:
    over, stays = _Incident("over"), _Incident("stays")
    records = [over.alert("firing"), stays.alert("firing"), stays.escalation("reassigned", "r", "product-team"), over.alert("resolved")]
    newer = [_with(record, _LATER_VERSION | {"labels": {"region": "eu", **dict.fromkeys(("", "a b"), "ü")}}) for record in records]
    promise = "a field that a reader does not know is left alone"
    return _scenario("unknown fields", promise, newer, {stays.key: ("firing", "critical")}, {stays.key: 1})


def _fields_missing() -> Scenario:
    over, stays = _Incident("over"), _Incident("stays")
    records = [over.alert("firing"), stays.alert("firing"), stays.escalation("step_due", "0", "ceo"), over.alert("resolved")]
    optional = {name for model in (Alert, Escalation) for name, field in model.model_fields.items() if not field.is_required()}
    older = [Record(one.topic, one.key, {name: value for name, value in one.value.items() if name not in optional}) for one in records]
    promise = "a field with a default may be missing from records of an earlier version"
    return _scenario("fields missing", promise, older, {stays.key: ("firing", "critical")}, {stays.key: 1})


def _unknown_states() -> Scenario:
    unknown, retro, cleared = _Incident("unknown"), _Incident("retro"), _Incident("cleared")
    records = [
        unknown.alert("firing"),
        _with(unknown.alert("firing", "x"), {"state": "under_observation"}),
        _with(unknown.escalation("opened", "x"), {"event": "discussed", "target": "slack-critical"}),
        retro.alert("retro_fired"),
        cleared.alert("retro_fired"),
        cleared.alert("retro_cleared"),
    ]
    is_open = {unknown.key: ("under_observation", "critical"), retro.key: ("retro_fired", "critical")}
    return _scenario("unknown states", "what a reader does not know is not over, and pages nobody", records, is_open, {})


def _told_with_its_group() -> Scenario:
    lead, member = _Incident("lead"), _Incident("member")
    records = [
        lead.alert("firing"),
        member.alert("firing"),
        lead.escalation("step_due", "0", "pagerduty"),
        member.escalation("step_due", "0", "pagerduty", notify=False),
    ]
    is_open = {lead.key: ("firing", "critical"), member.key: ("firing", "critical")}
    return _scenario("told with its group", "with notify false nobody is told again", records, is_open, {lead.key: 1})


def _with(record: Record, fields: Mapping[str, Any]) -> Record:
    return Record(record.topic, record.key, {**record.value, **fields})


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
