"""What the topics say of the past, and what an engine makes of it before it acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from alerting.engine import lifecycle
from alerting.engine.lifecycle import Lifecycle
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.alert import Alert
from schemas.command import Command
from schemas.escalation import Escalation

#: Where an incident is: the name of its rule, and its series.
Place = tuple[str, Series]


@dataclass(slots=True)
class History:
    """What the topics say, each list in the order of its topic; an alert comes with the Kafka timestamp of its record in ms.

    Decisions are not among it: the ledger goes on from the flushes that are observed.
    """

    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


def newest_alerts(alerts: Iterable[tuple[int, Alert]]) -> dict[str, Alert]:
    """The state of every incident, by key; repeats of a transition are harmless."""
    newest: dict[str, Alert] = {}
    seen: set[str] = set()
    for _, alert in alerts:
        if alert.transition_id not in seen:
            newest[alert.incident_key] = alert
        seen.add(alert.transition_id)
    return newest


def place_of(alert: Alert, rules: Mapping[str, Rule]) -> Place | None:
    """None when no rule judges it any more."""
    rule = rules.get(alert.rule)
    if rule is None or any(label not in alert.labels for label in rule.by):
        return None
    return rule.name, tuple((label, alert.labels[label]) for label in sorted(rule.by))


def restore_lifecycles(alerts: Iterable[tuple[int, Alert]], rules: Mapping[str, Rule]) -> dict[Place, Lifecycle]:
    """Of every series that has, or had, an incident."""
    by_place: dict[Place, list[Alert]] = {}
    for _, alert in alerts:
        place = place_of(alert, rules)
        if place is not None:
            by_place.setdefault(place, []).append(alert)
    return {place: lifecycle.restore(of_place, rules[place[0]]) for place, of_place in by_place.items()}


def last_acknowledgements(escalations: Iterable[Escalation]) -> dict[str, Escalation]:
    """By incident_key, the newest event that acknowledged it or took that back."""
    return {event.incident_key: event for event in escalations if event.event in {"acked", "unacked"}}
