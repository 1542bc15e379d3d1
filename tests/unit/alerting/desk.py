"""Paging with the shipped policy on a clock moved by hand, and the topics as it leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from alerting.config import load
from alerting.engine.document import parse_document
from alerting.engine.identity import digest
from alerting.engine.paging import Paging
from alerting.engine.policy import EscalationPolicy, parse_policy
from alerting.engine.routing import Routing, parse_routing
from schemas.alert import Alert, AlertState, Severity
from schemas.command import Ack, Command, Reassign, Silence, Snooze, Unack, Unsilence
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.timestamps import from_ms
from tests.unit.alerting.traffic import T0_MS, now_at

_CONFIG = Path(load.__file__).parent
POLICY: EscalationPolicy = parse_policy(parse_document((_CONFIG / "escalation.yaml").read_text()))
ROUTING: Routing = parse_routing(parse_document((_CONFIG / "routes.yaml").read_text()))
PARIS = ZoneInfo("Europe/Paris")
MINUTE, HOUR = 60, 3600


def paris(text: str) -> float:
    """The seconds after T0 at which clocks in Paris show `text`."""
    return (datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp() * 1000 - T0_MS) / 1000


def incident(
    name: str = "a",
    *,
    rule: str = "R",
    severity: Severity = "high",
    state: AlertState = "firing",
    channels: tuple[str, ...] = ("slack-ops",),
    labels: dict[str, str] | None = None,
) -> Alert:
    """An alert about the incident `name`."""
    at, key = from_ms(T0_MS), digest(name)
    return Alert(
        transition_id=digest(key, state), incident_key=key, rule=rule, severity=severity, state=state, at=at, since=at,
        condition="error_rate > 5%", term="error_rate > 5%", value=0.5, threshold=0.05, unit="ratio", numerator=50, denominator=100,
        window_from=at, window_to=at, judged_to=at, watermark=at, labels=labels or {}, terms=(), gates=(), sql="", window_sql="",
        summary=f"{name} fires", reason="", runbook="", channels=channels,
    )  # fmt: skip


@dataclass
class Desk:
    """`said`: everything it has published; `alerts`: the newest of each incident; `commands`: all that were given. Times are seconds."""

    policy: EscalationPolicy = POLICY
    routing: Routing = ROUTING
    said: list[Escalation | Decision] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paging = Paging(self.policy, self.routing)

    @property
    def events(self) -> list[Escalation]:
        return [output for output in self.said if isinstance(output, Escalation)]

    @property
    def decisions(self) -> list[Decision]:
        return [output for output in self.said if isinstance(output, Decision)]

    def alert(self, at_s: float, alert: Alert) -> list[Escalation]:
        self.alerts[alert.incident_key] = alert
        return self._say(self.paging.alert(alert, now_at(at_s)))

    def end(self, at_s: float, name: str) -> list[Escalation]:
        """The incident of that name is over."""
        return self.alert(at_s, self.alerts[digest(name)].model_copy(update={"state": "resolved"}))

    def tick(self, at_s: float) -> list[Escalation]:
        return self._say(self.paging.tick(now_at(at_s)))

    def ticks(self, from_s: float, to_s: float, step_s: float = 0.2) -> list[Escalation]:
        """A tick at every `step_s`, none after `to_s`."""
        count = int((to_s - from_s) / step_s + 1e-6)
        return [event for index in range(1, count + 1) for event in self.tick(from_s + index * step_s)]

    def command(self, at_s: float, command: Command) -> list[Escalation]:
        self.commands.append(command)
        return self._say(self.paging.command(command, now_at(at_s)))

    def restart(self, at_s: float) -> list[Escalation]:
        """Another process reads the topics; returns what it says before it ticks."""
        self.paging = Paging(self.policy, self.routing)
        self.paging.restore(self.events, self.commands, self.alerts.values())
        return self._say(self.paging.catch_up(self.alerts.values(), now_at(at_s)))

    def _say(self, outputs: Iterable[Escalation | Decision]) -> list[Escalation]:
        outputs = list(outputs)
        self.said += outputs
        return [output for output in outputs if isinstance(output, Escalation)]


def told(events: Iterable[Escalation]) -> list[tuple[str, str | None]]:
    """(event, target) of those that are messages."""
    return [(event.event, event.target) for event in events if event.notify]


def names(event: Escalation) -> list[str]:
    """The incidents that a message lists, by name."""
    return [member.summary.removesuffix(" fires") for member in event.members]


def ack(name: str, at_s: float, command_id: str = "c-ack", by: str = "alice") -> Ack:
    return Ack(command_id=command_id, at=from_ms(now_at(at_s)), by=by, incident_key=digest(name))


def unack(name: str, at_s: float, command_id: str = "c-unack") -> Unack:
    return Unack(command_id=command_id, at=from_ms(now_at(at_s)), by="bob", incident_key=digest(name))


def reassign(name: str, at_s: float, target: str, command_id: str = "c-reassign") -> Reassign:
    return Reassign(command_id=command_id, at=from_ms(now_at(at_s)), by="carol", incident_key=digest(name), target=target)


def snooze(name: str, at_s: float, until_s: float, command_id: str = "c-snooze") -> Snooze:
    return Snooze(command_id=command_id, at=from_ms(now_at(at_s)), by="dave", incident_key=digest(name), until=from_ms(now_at(until_s)))


def silence(
    at_s: float,
    until_s: float,
    *,
    rule: str = "R",
    labels: dict[str, str] | None = None,
    starts_s: float | None = None,
    silence_id: str = "s-1",
    command_id: str = "c-silence",
) -> Silence:
    return Silence(
        command_id=command_id, at=from_ms(now_at(at_s)), by="bob", silence_id=silence_id, rule=rule, labels=labels or {},
        starts_at=None if starts_s is None else from_ms(now_at(starts_s)), until=from_ms(now_at(until_s)), reason="load test",
    )  # fmt: skip


def unsilence(at_s: float, silence_id: str = "s-1", command_id: str = "c-unsilence") -> Unsilence:
    return Unsilence(command_id=command_id, at=from_ms(now_at(at_s)), by="bob", silence_id=silence_id)
