"""From escalation events to notifications: who is to be told what, and what need not be sent any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerting.engine.escalation import EscalationState, fold
from alerting.engine.identity import digest
from alerting.notify.receiver import Notification
from schemas.delivery import FINAL_OUTCOMES, Delivery, DeliveryAction
from schemas.escalation import Escalation


@dataclass(frozen=True, slots=True)
class Due:
    """`stale`: the page came after the incident was acknowledged or over, from an alerter that had not noticed; it is not sent."""

    notification: Notification
    stale: bool = False


class Plan:
    """The fold of `escalations.v1` and of what `deliveries.v1` says has been done. Events are `read` in the order of the topic."""

    def __init__(self, deliveries: Iterable[Delivery] = ()) -> None:
        self._newest: dict[str, Delivery] = {}
        for delivery in deliveries:
            known = self._newest.get(delivery.delivery_id)
            if known is None or known.outcome not in FINAL_OUTCOMES:
                self._newest[delivery.delivery_id] = delivery
        self._states: dict[str, EscalationState] = {}
        self._seen: set[str] = set()

    def read(self, event: Escalation) -> list[Due]:
        """What `event` asks for and has not been done; a repeated event asks for nothing."""
        if event.escalation_id in self._seen:
            return []
        self._seen.add(event.escalation_id)
        before = self._states.get(event.incident_key)
        self._states[event.incident_key] = fold(before, event)
        stale = before is not None and (before.resolved or (before.acked_at_ms is not None and event.event == "step_due"))
        return [
            Due(notification, stale and action == "trigger")
            for action, receivers in _tells(event, before)
            for receiver in receivers
            if (notification := self._to_do(event, action, receiver)) is not None
        ]

    def intent_of(self, notification: Notification) -> Delivery | None:
        """The newest line about it on `deliveries.v1` when the plan was made."""
        return self._newest.get(notification.delivery_id)

    def _to_do(self, event: Escalation, action: DeliveryAction, receiver: str) -> Notification | None:
        delivery_id = digest(event.escalation_id, receiver)
        newest = self._newest.get(delivery_id)
        if newest is not None and newest.outcome in FINAL_OUTCOMES:
            return None
        return Notification(delivery_id, receiver, action, event, resent=newest is not None)


def _tells(event: Escalation, before: EscalationState | None) -> Sequence[tuple[DeliveryAction, Sequence[str]]]:
    paged = before.paged if before is not None else ()
    match event.event:
        case "step_due" | "reassigned":
            return [("trigger", [event.target] if event.target is not None else [])]
        case "acked":
            return [("acknowledge", paged)]
        case "resolved":
            return [("resolve", paged)]
        case "opened" | "unacked":
            return []
