"""Incidents as the topics have them, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from alerting.engine.escalation import EscalationState, fold
from alerting.loading import into
from alerting.notify.slack import KEY_PREFIX_CHARS
from pipeline.runtime.errors import Stop
from pipeline.runtime.topic_tail import read_to_end
from schemas.alert import OPEN_STATES, Alert, parse_alert
from schemas.escalation import Escalation, parse_escalation
from schemas.timestamps import isoformat_ms
from schemas.topics import ALERTS, ESCALATIONS


@dataclass(frozen=True, slots=True)
class Incident:
    """The newest state of an incident; `acked_by` is '' while nobody has acknowledged it, `paged` who has been told."""

    alert: Alert
    acked_by: str
    paged: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        return self.alert.state in OPEN_STATES


async def read_incidents(bootstrap_servers: str) -> list[Incident]:
    """Every incident of the last 90 days, newest first. Raises Stop when no broker answers."""
    alerts: list[Alert] = []
    events: list[Escalation] = []
    await read_to_end(bootstrap_servers, ALERTS.name, into(alerts, parse_alert))
    await read_to_end(bootstrap_servers, ESCALATIONS.name, into(events, parse_escalation))
    return incidents_of(alerts, events)


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


def find(incidents: Iterable[Incident], prefix: str) -> Incident:
    """The open incident whose key begins with `prefix`. Raises Stop, the answer is no, when there is none or more than one."""
    found = [incident for incident in incidents if incident.alert.incident_key.startswith(prefix.lower())]
    still_open = [incident for incident in found if incident.is_open]
    if len(still_open) == 1:
        return still_open[0]
    if still_open:
        keys = ", ".join(incident.alert.incident_key[:KEY_PREFIX_CHARS] for incident in still_open)
        raise Stop(f"{prefix} is the beginning of {len(still_open)} open incidents: {keys}; give more of the key")
    if found:
        raise Stop(f"{found[0].alert.rule} ({prefix}) is over since {isoformat_ms(found[0].alert.at)}; there is nothing to acknowledge")
    raise Stop(f"no incident's key begins with {prefix}; `telemetry alerts list` shows the open ones")


def as_text(incident: Incident) -> str:
    """Two lines for a terminal."""
    alert = incident.alert
    acked = f"acknowledged by {incident.acked_by}" if incident.acked_by else f"told: {', '.join(incident.paged) or 'nobody'}"
    head = f"{alert.incident_key[:KEY_PREFIX_CHARS]}  {alert.state:<13} {alert.severity:<8} since {isoformat_ms(alert.since)}  {acked}"
    return f"{head}\n  {alert.summary}"


def as_document(incident: Incident) -> dict[str, Any]:
    """The alert's fields, with who acknowledged it and who was told."""
    return {**incident.alert.model_dump(mode="json"), "acked_by": incident.acked_by, "paged": list(incident.paged)}


def _incident(alert: Alert, state: EscalationState | None) -> Incident:
    return Incident(alert, state.acked_by if state else "", state.paged if state else ())
