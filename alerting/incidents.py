"""Incidents as the topics have them, for people at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from aiokafka.structs import ConsumerRecord

from alerting.engine.escalation import EscalationState, fold
from alerting.engine.holds import Silences
from pipeline.runtime.errors import Stop
from pipeline.runtime.topic_tail import read_to_end
from schemas.alert import OPEN_STATES, Alert, parse_alert
from schemas.command import Command, Silence, Unsilence, parse_command
from schemas.delivery import Delivery, parse_delivery
from schemas.escalation import Escalation, parse_escalation
from schemas.printable import printable
from schemas.timestamps import from_ms, isoformat_ms
from schemas.topics import ALERTS, COMMANDS, DELIVERIES, ESCALATIONS

T = TypeVar("T")

#: Characters of a key that are shown; commands take the beginning of a key when no other begins so.
KEY_CHARS: Final = 12
_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Incident:
    """The newest state of an incident.

    acked_by: '' while nobody has acknowledged it; paged: who has been told; snoozed_until: None while nobody has put it off;
    group_key: of those that are told of together, its own key when it is alone or nobody has been told.
    """

    alert: Alert
    acked_by: str
    paged: tuple[str, ...]
    snoozed_until: datetime | None = None
    group_key: str = ""

    @property
    def is_open(self) -> bool:
        return self.alert.state in OPEN_STATES


@dataclass(frozen=True, slots=True)
class History:
    """The records of three topics, in their order, each once."""

    alerts: list[Alert] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)


async def read_incidents(bootstrap_servers: str) -> list[Incident]:
    """Every incident of the last 90 days, newest first. Raises Stop when no broker answers."""
    alerts, escalations = await _read_incidents(bootstrap_servers)
    return incidents_of(alerts, escalations)


async def read_history(bootstrap_servers: str) -> History:
    """What was said of all incidents in the last 90 days. Raises Stop when no broker answers."""
    alerts, escalations = await _read_incidents(bootstrap_servers)
    deliveries = await _read(bootstrap_servers, DELIVERIES.name, parse_delivery, lambda one: (one.delivery_id, one.attempt, one.outcome))
    return History(alerts, escalations, deliveries)


async def read_silences(bootstrap_servers: str, now_ms: int) -> list[Silence]:
    """Those in force or to come, the next to end first. Raises Stop when no broker answers."""
    silences = Silences()
    commands: list[Command] = await _read(bootstrap_servers, COMMANDS.name, parse_command, lambda one: one.command_id)
    for command in commands:
        if isinstance(command, Silence | Unsilence):
            silences.obey(command)
    return sorted(silences.known(now_ms), key=lambda silence: silence.until)


def incidents_of(alerts: Iterable[Alert], events: Iterable[Escalation]) -> list[Incident]:
    """Newest first; a record that is repeated does not bring back an older state."""
    newest: dict[str, Alert] = {}
    seen: set[str] = set()
    for alert in alerts:
        if alert.transition_id not in seen:
            newest[alert.incident_key] = alert
        seen.add(alert.transition_id)
    states: dict[str, EscalationState] = {}
    for event in events:
        states[event.incident_key] = fold(states.get(event.incident_key), event)
    incidents = [_incident(alert, states.get(alert.incident_key)) for alert in newest.values()]
    return sorted(incidents, key=lambda incident: incident.alert.since, reverse=True)


def find(incidents: Iterable[Incident], prefix: str, *, over_too: bool = False) -> Incident:
    """The incident whose key begins with `prefix`. Raises Stop, the answer is no, when there is none or more than one.

    Args:
        incidents: all there are.
        prefix: the beginning of a key, by any case.
        over_too: an incident that is over will do; otherwise only when it names a group that is not.
    """
    incidents = list(incidents)
    leads = {incident.group_key for incident in incidents if incident.is_open}
    found = [incident for incident in incidents if incident.alert.incident_key.startswith(prefix.lower())]
    candidates = [incident for incident in found if over_too or incident.is_open or incident.alert.incident_key in leads]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        keys = ", ".join(incident.alert.incident_key[:KEY_CHARS] for incident in candidates[:_LISTED])
        what = "incidents" if over_too else "open incidents"
        raise Stop(f"{prefix} is the beginning of {len(candidates)} {what}: {keys}; give more of the key")
    if found:
        raise Stop(f"{found[0].alert.rule} ({prefix}) is over since {isoformat_ms(found[0].alert.at)}; there is nothing to do about it")
    raise Stop(f"no incident's key begins with {prefix}; `telemetry alerts list` shows the open ones")


def open_members(incidents: Iterable[Incident], lead: Incident) -> list[Incident]:
    """Whom a command on `lead` is for: the open incidents of the group that it names, else itself."""
    return [one for one in incidents if one.is_open and one.group_key == lead.alert.incident_key] or [lead]


def as_text(incident: Incident) -> str:
    """Two lines for a terminal. The summary may have anything in it that senders send."""
    alert = incident.alert
    if incident.acked_by:
        told = f"acknowledged by {incident.acked_by}"
    else:
        snoozed = f", snoozed until {isoformat_ms(incident.snoozed_until)}" if incident.snoozed_until else ""
        told = f"told: {', '.join(incident.paged) or 'nobody'}{snoozed}"
    head = f"{alert.incident_key[:KEY_CHARS]}  {alert.state:<13} {alert.severity:<8} since {isoformat_ms(alert.since)}  {told}"
    return f"{head}\n  {printable(alert.summary)}"


def as_document(incident: Incident) -> dict[str, Any]:
    """The alert's fields, with who acknowledged it, who was told, until when it is snoozed, and its group."""
    return {
        **incident.alert.model_dump(mode="json"),
        "acked_by": incident.acked_by,
        "paged": list(incident.paged),
        "snoozed_until": isoformat_ms(incident.snoozed_until) if incident.snoozed_until else None,
        "group_key": incident.group_key or incident.alert.incident_key,
    }


def _incident(alert: Alert, state: EscalationState | None) -> Incident:
    if state is None:
        return Incident(alert, "", (), None, alert.incident_key)
    snoozed_until = None if state.snoozed_until_ms is None or state.resolved else from_ms(state.snoozed_until_ms)
    return Incident(alert, state.acked_by, state.paged, snoozed_until, state.group_key)


async def _read_incidents(bootstrap_servers: str) -> tuple[list[Alert], list[Escalation]]:
    alerts = await _read(bootstrap_servers, ALERTS.name, parse_alert, lambda one: one.transition_id)
    return alerts, await _read(bootstrap_servers, ESCALATIONS.name, parse_escalation, lambda one: one.escalation_id)


async def _read(bootstrap_servers: str, topic: str, parse: Callable[[bytes], T], identity: Callable[[T], Hashable]) -> list[T]:
    """The first record of each identity; what cannot be read is nobody's: the roles make a dead letter of it."""
    found: dict[Hashable, T] = {}

    def keep(record: ConsumerRecord) -> None:
        try:
            value = parse(record.value or b"")
        except ValueError:
            return
        found.setdefault(identity(value), value)

    await read_to_end(bootstrap_servers, topic, keep)
    return list(found.values())
