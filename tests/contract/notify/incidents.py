"""Escalation events of incidents, and notifications about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alerting.engine.identity import digest
from alerting.notify.group import Group
from alerting.notify.receiver import Notification
from schemas.alert import Alert, AlertState, Context, ErrorClass, Gate, Suspect, Term
from schemas.delivery import DeliveryAction
from schemas.escalation import MEMBERS_LISTED, Escalation, EscalationEvent, Member
from schemas.timestamps import from_ms

RULE = "Menu Generation Critical"
BASE_MS = 1_795_428_000_000  # 2026-11-23T10:00:00Z
SQL = (
    "SELECT countIf(outcome IN ('failed')) AS numerator, count() AS denominator, numerator / denominator AS value"
    " FROM telemetry.menu_generated WHERE occurred_at >= '2026-11-23 10:00:00.000' AND occurred_at < '2026-11-23 10:01:00.000'"
    " AND empty(bot_reasons) AND kafka_offset <= [451, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51][kafka_partition + 1]"
)
CONTEXT = Context(
    error_classes=(ErrorClass(error_type="provider_timeout", count=390), ErrorClass(error_type="", count=10)),
    suspects=(Suspect(kind="release", value="1.4.2", errors=400, total=1200, lift=7.5),),
    trace_ids=("0af7651916cd43dd8448eb211c80319c",),
)


def key(name: str = "menus") -> str:
    """The incident_key of an incident."""
    return digest("incident", name)


def an_alert(name: str = "menus", state: AlertState = "firing", at_s: float = 51.0, **changes: Any) -> Alert:
    """Of the seed's rule: 400 of 5200 failed."""
    happened = {"firing": "fires", "resolved": "is resolved"}.get(state, state)
    alert = Alert(
        transition_id=digest(name, state),
        incident_key=key(name),
        rule=RULE,
        severity="critical",
        state=state,
        at=from_ms(BASE_MS + round(at_s * 1000)),
        since=from_ms(BASE_MS + 51_000),
        condition="error_rate > 5% OR avg_time > 30s",
        term="error_rate > 5%",
        value=400 / 5200,
        threshold=0.05,
        unit="ratio",
        numerator=400,
        denominator=5200,
        window_from=from_ms(BASE_MS),
        window_to=from_ms(BASE_MS + 60_000),
        judged_to=from_ms(BASE_MS + 51_000),
        watermark=from_ms(BASE_MS + 47_900),
        labels={},
        terms=(
            Term(text="error_rate > 5%", verdict="true", value=400 / 5200, threshold=0.05, unit="ratio", numerator=400, denominator=5200),
        ),
        gates=(
            Gate(name="n", passed=True, detail="5200 events, 20 needed"),
            Gate(name="partitions", passed=True, detail="all 12 partitions are in"),
        ),
        sql=SQL,
        window_sql="SELECT 1",
        summary=f"{RULE} {happened}: error_rate 7.692 % (400 of 5200)",
        reason="true of all that can still come",
        runbook="alerting/config/runbooks/menu-generation.md",
        channels=("slack-critical", "pagerduty"),
        owner="menu-team",
    )
    return alert.model_copy(update=changes)


def an_event(
    event: EscalationEvent,
    name: str = "menus",
    *,
    target: str | None = None,
    step: int | None = None,
    at_s: float = 51.0,
    group: str | None = None,
    members: tuple[Member, ...] = (),
    notify: bool = True,
    number: int = 0,
    until_s: float | None = None,
    **of_alert: Any,
) -> Escalation:
    """One on `escalations.v1`; `number` tells apart those that are otherwise the same, `of_alert` replaces fields of its alert."""
    state: AlertState = "resolved" if event == "resolved" else "firing"
    alert = an_alert(name, state, at_s, **of_alert)
    reasons: dict[EscalationEvent, str] = {
        "acked": "acknowledged by alice",
        "unacked": "acknowledgement taken back by bob",
        "snoozed": "snoozed by alice",
        "resolved": "the incident is over",
    }
    return Escalation(
        escalation_id=digest(name, event, target, step, number),
        incident_key=key(name),
        rule=alert.rule,
        severity=alert.severity,
        event=event,
        step=step,
        target=target,
        due_at=None,
        at=from_ms(BASE_MS + round(at_s * 1000)),
        actor="alice" if event in {"acked", "snoozed"} else "alerter",
        command_id=None,
        reason=reasons.get(event, "the incident fires"),
        plan=(),
        alert=alert,
        group_key=key(group or name),
        notify=notify,
        members=members[:MEMBERS_LISTED],
        members_total=len(members),
        until=None if until_s is None else from_ms(BASE_MS + round(until_s * 1000)),
    )


def a_member(name: str, state: AlertState = "firing", **changes: Any) -> Member:
    """Of a group: one host's."""
    member = Member(
        incident_key=key(name), rule=RULE, severity="high", state=state, labels={"host": name}, summary=f"cpu of {name} is 91 %"
    )
    return member.model_copy(update=changes)


def escalation_events() -> list[Escalation]:
    """The seed's rule fires, pages both channels, is acknowledged and resolves."""
    return [
        an_event("opened"),
        an_event("step_due", target="slack-critical", step=0),
        an_event("step_due", target="pagerduty", step=0),
        an_event("acked", at_s=60),
        an_event("resolved", at_s=150),
    ]


def told_of(event: Escalation, action: DeliveryAction, receiver: str, group: Group | None = None) -> Notification:
    """What `receiver` is told by one event of `group`, after that has seen it."""
    group = group or Group(event.group_key or event.incident_key, BASE_MS + 51_000)
    group.apply(event)
    return Notification(digest(event.escalation_id, receiver), receiver, action, event, group.view(event))


def notification(
    action: DeliveryAction = "trigger", receiver: str = "slack-critical", *, resent: bool = False, **of_alert: Any
) -> Notification:
    """One that asks for `action`, about one incident; `of_alert` replaces fields of its alert."""
    event = {"trigger": "step_due", "acknowledge": "acked", "resolve": "resolved", "update": "unacked"}[action]
    target = receiver if action == "trigger" else None
    told = told_of(an_event(event, target=target, **of_alert), action, receiver)  # type: ignore[arg-type]
    return replace(told, resent=resent, first=action == "trigger")


def of_a_group(count: int, action: DeliveryAction = "trigger", receiver: str = "slack-critical") -> Notification:
    """One about `count` incidents."""
    members = tuple(a_member(f"web-{number}") for number in range(count))
    return told_of(an_event("step_due", "web-0", target=receiver, members=members), action, receiver)
