"""A notification in words, for receivers that take plain text: one line for a subject, then everything a person needs to begin."""

from __future__ import annotations

from typing import Final

from alerting.engine.evidence import readable
from alerting.notify.group import GroupView
from alerting.notify.http import one_line
from alerting.notify.receiver import Notification
from schemas.alert import Alert, Context
from schemas.delivery import DeliveryAction
from schemas.escalation import Escalation, Member
from schemas.printable import printable
from schemas.timestamps import isoformat_ms, isoformat_of

_HAPPENED: Final[dict[DeliveryAction, str]] = {"trigger": "fires", "acknowledge": "is acknowledged", "resolve": "is resolved"}
#: Characters of an incident key that people type; `telemetry alerts ack` takes any unique prefix.
KEY_PREFIX_CHARS: Final = 12
_SUBJECT_CHARS: Final = 200


def headline(notification: Notification) -> str:
    """`CRITICAL: Menu Generation Critical fires`; of several incidents: `HIGH: Infrastructure (50 incidents) fires`."""
    happened = _HAPPENED.get(notification.action, "goes on")
    return _headline(notification.event, notification.group, happened)


def standing(notification: Notification) -> str:
    """The same by how the group stands: `… is acknowledged`, whatever happened last."""
    by_status = {"firing": "fires", "acknowledged": "is acknowledged", "snoozed": "is snoozed", "resolved": "is resolved"}
    return _headline(notification.event, notification.group, by_status[notification.group.status])


def subject(notification: Notification) -> str:
    """The headline with what is wrong, on one line."""
    return one_line(f"{headline(notification)} - {notification.event.alert.summary}", _SUBJECT_CHARS)


def body(notification: Notification) -> str:
    """Everything, line by line."""
    event, group = notification.event, notification.group
    lines = [headline(notification), event.alert.summary, event.reason, ""]
    if not group.is_one_incident:
        lines += [f"{group.members_total} incidents:", *(f"- {member_line(member)}" for member in group.members), *_more(group), ""]
    lines += [f"{name}: {value}" for name, value in facts(event.alert).items()]
    lines += context_lines(event.alert.context)
    if notification.action == "trigger":
        lines += ["", f"Acknowledge: {ack_command(group)}", f"Runbook: {event.alert.runbook}"]
    if event.alert.sql:
        lines += ["", "The same number by SQL:", event.alert.sql]
    return "\n".join(printable(line) for line in lines) + "\n"


def ack_command(group: GroupView) -> str:
    """What to type to acknowledge it, all of it."""
    return f"telemetry alerts ack {group.group_key[:KEY_PREFIX_CHARS]} --by NAME"


def facts(alert: Alert) -> dict[str, str]:
    """The evidence: name → value."""
    threshold = readable(alert.threshold, alert.unit)
    labels = " ".join(f"{name}={value}" for name, value in alert.labels.items())
    found = {
        "Condition": alert.condition,
        "Value and threshold": f"{readable(alert.value, alert.unit)}, threshold {threshold}",
        "Numerator / denominator": f"{alert.numerator:.12g} / {alert.denominator:.12g}",
        "Window": f"{isoformat_ms(alert.window_from)} to {isoformat_ms(alert.window_to)}, judged to {isoformat_ms(alert.judged_to)}",
        "Watermark": "unknown for some partitions" if alert.watermark is None else isoformat_ms(alert.watermark),
        "Since": isoformat_ms(alert.since),
        "Why now": f"{alert.reason} ({'; '.join(gate.detail for gate in alert.gates)})",
        "Labels": labels,
        "Owner": alert.owner,
        "Incident": alert.incident_key,
    }
    return {name: value for name, value in found.items() if value}


def context_lines(context: Context | None) -> list[str]:
    """What the failing events have in common, as far as it was found."""
    if context is None:
        return []
    lines = []
    if context.error_classes:
        lines.append("Top errors: " + ", ".join(f"{one.error_type or 'unnamed'} ({one.count})" for one in context.error_classes))
    for suspect in context.suspects:
        lift = "the rest does not fail" if suspect.lift is None else f"{suspect.lift:.1f} times the rest"
        lines.append(f"Suspect {suspect.kind}: {suspect.value}, {suspect.errors} of {suspect.total} fail, {lift}")
    if context.trace_ids:
        lines.append("Traces: " + ", ".join(context.trace_ids))
    return [*lines, context.note] if context.note else lines


def member_line(member: Member) -> str:
    """One incident of several."""
    labels = " ".join(f"{name}={value}" for name, value in member.labels.items())
    return f"{member.severity} {member.state}: {f'{labels}: ' if labels else ''}{member.summary}"


def change(notification: Notification) -> str:
    """What happened, in one line of a timeline."""
    event = notification.event
    at = isoformat_of(notification.group.snoozed_until_ms) if notification.group.snoozed_until_ms is not None else ""
    until = f" until {at}" if at and event.event == "snoozed" else ""
    return f"{printable(event.reason)}{until}: {printable(event.alert.summary)}"


def _headline(event: Escalation, group: GroupView, happened: str) -> str:
    several = "" if group.is_one_incident else f" ({group.members_total} incidents)"
    return f"{group.severity.upper()}: {event.rule}{several} {happened}"


def _more(group: GroupView) -> list[str]:
    hidden = group.members_total - len(group.members)
    return [f"- and {hidden} more"] if hidden > 0 else []
