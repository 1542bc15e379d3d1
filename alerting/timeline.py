"""The story of one incident, from what was said on alerts.v1, escalations.v1 and deliveries.v1; and how long things took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final, Literal

from alerting.incidents import History, Incident, incidents_of
from schemas.alert import OPEN_STATES, Alert
from schemas.delivery import FINAL_OUTCOMES, Delivery
from schemas.escalation import Escalation, PlannedStep
from schemas.timestamps import isoformat_ms, to_ms

Kind = Literal["alert", "escalation", "delivery"]

_STATES: Final = {
    "firing": "fires",
    "acknowledged": "is acknowledged",
    "no_data": "has no data",
    "resolved": "is resolved",
    "retro_fired": "is found to have fired, too late to page",
    "retro_cleared": "is found to have cleared, too late to page",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened: `what` is the state, the event, or action and outcome; `text` says it in words."""

    at: datetime
    kind: Kind
    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Durations:
    """In ms from when the incident was opened, which is when its page was due at once; None for what has not happened.

    detected_after_ms: from when its condition became true, in event time, to its opening.
    """

    detected_after_ms: int
    acknowledged_after_ms: int | None
    resolved_after_ms: int | None


@dataclass(frozen=True, slots=True)
class RuleTimes:
    """Of the incidents of one rule that the topics still have (90 days).

    mtta_ms: the mean time to acknowledge, of the `acknowledged` that somebody acknowledged; mttr_ms: the mean time to resolve, of the
    `resolved` that are over; each from the opening, None without any. Incidents that were found too late to page are not among them.
    """

    incidents: int
    acknowledged: int
    resolved: int
    mtta_ms: int | None
    mttr_ms: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """`entries` in the order of their times."""

    incident: Incident
    opened_at: datetime
    entries: tuple[Entry, ...]
    durations: Durations
    rule: RuleTimes


def timeline_of(history: History, incident_key: str) -> Timeline:
    """The story of the incident `incident_key`, of which there is at least one alert."""
    alerts = [alert for alert in history.alerts if alert.incident_key == incident_key]
    events = [event for event in history.escalations if event.incident_key == incident_key]
    (incident,) = incidents_of(alerts, events)
    deliveries = [one for one in history.deliveries if one.incident_key == incident_key or one.group_key == incident.group_key]
    entries = [*_alert_entries(alerts), *map(_escalation_entry, events), *_delivery_entries(deliveries, incident_key)]
    return Timeline(
        incident,
        alerts[0].at,
        tuple(sorted(entries, key=lambda entry: entry.at)),
        durations_of(alerts, events),
        rule_times(history, incident.alert.rule),
    )


def durations_of(alerts: Sequence[Alert], events: Iterable[Escalation]) -> Durations:
    """Of one incident: its transitions and its escalation's events, each in order."""
    opened = alerts[0]
    acked_at = next((event.at for event in events if event.event == "acked"), None)
    resolved_at = None if alerts[-1].state in OPEN_STATES else alerts[-1].at
    return Durations(
        _between(opened.since, opened.at),
        None if acked_at is None else _between(opened.at, acked_at),
        None if resolved_at is None else _between(opened.at, resolved_at),
    )


def rule_times(history: History, rule: str) -> RuleTimes:
    """MTTA and MTTR of `rule`."""
    alerts: dict[str, list[Alert]] = {}
    events: dict[str, list[Escalation]] = {}
    for alert in history.alerts:
        if alert.rule == rule:
            alerts.setdefault(alert.incident_key, []).append(alert)
    for event in history.escalations:
        if event.rule == rule:
            events.setdefault(event.incident_key, []).append(event)
    paged = {key: found for key, found in alerts.items() if found[0].state != "retro_fired"}
    times = [durations_of(found, events.get(key, ())) for key, found in paged.items()]
    acknowledged = [time.acknowledged_after_ms for time in times if time.acknowledged_after_ms is not None]
    resolved = [time.resolved_after_ms for time in times if time.resolved_after_ms is not None]
    return RuleTimes(len(times), len(acknowledged), len(resolved), _mean(acknowledged), _mean(resolved))


def _alert_entries(alerts: Sequence[Alert]) -> Iterator[Entry]:
    for alert in alerts:
        text = f"{_STATES[alert.state]}: {alert.reason}" if alert.reason else _STATES[alert.state]
        yield Entry(alert.at, "alert", alert.state, text)


def _escalation_entry(event: Escalation) -> Entry:
    return Entry(event.at, "escalation", event.event, _told(event))


def _told(event: Escalation) -> str:
    alone = "" if event.notify else ", in the message of its group"
    match event.event:
        case "opened":
            return f"escalation opened: {_plan(event.plan, event.at)}"
        case "step_due":
            return f"step {event.step} is due: {event.target} is to be told{alone} ({event.reason})"
        case "repeated" | "reassigned":
            return f"{event.target} is to be told{alone} ({event.reason})"
        case "snoozed" | "unacked":
            return f"{event.reason}; {_plan(event.plan, event.at)}"
        case _:
            return event.reason


def _plan(plan: Sequence[PlannedStep], now: datetime) -> str:
    steps = (f"{', '.join(step.targets)} {'at once' if step.due_at <= now else f'at {isoformat_ms(step.due_at)}'}" for step in plan)
    return "; ".join(steps) or "nobody is to be told"


def _delivery_entries(deliveries: Sequence[Delivery], incident_key: str) -> Iterator[Entry]:
    """What came of each notification; of an intent only that nothing has come of it yet."""
    attempted = {one.delivery_id for one in deliveries if one.outcome != "intended"}
    for one in deliveries:
        if one.outcome == "intended" and one.delivery_id in attempted:
            continue
        group = "" if one.incident_key == incident_key else ", of the group"
        what = f"{one.receiver}: {one.action}{group} {one.outcome.replace('_', ' ')}"
        status = "" if one.http_status is None else f"HTTP {one.http_status}"
        attempt = f"attempt {one.attempt}" if one.attempt > 1 or one.outcome not in FINAL_OUTCOMES | {"intended"} else ""
        facts = [fact for fact in (status, attempt, one.reason, "perhaps a second time" if one.resent else "") if fact]
        if one.failover is not None:
            facts.append(f"with {one.failover}")
        yield Entry(one.at, "delivery", f"{one.action} {one.outcome}", f"{what} ({', '.join(facts)})" if facts else what)


def _between(start: datetime, end: datetime) -> int:
    return to_ms(end) - to_ms(start)


def _mean(values: Sequence[int]) -> int | None:
    return round(fmean(values)) if values else None
