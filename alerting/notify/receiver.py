"""What a notification is, what became of an attempt to deliver it, and what a receiver is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from alerting.notify.group import GroupView
from schemas.delivery import DeliveryAction
from schemas.escalation import Escalation

log = structlog.get_logger(__name__)

#: What a receiver that cannot edit is told.
BEGIN_AND_END: Final[frozenset[DeliveryAction]] = frozenset({"trigger", "resolve"})
BEGIN_ACK_AND_END: Final[frozenset[DeliveryAction]] = frozenset({"trigger", "acknowledge", "resolve"})
EVERYTHING: Final[frozenset[DeliveryAction]] = frozenset({"trigger", "acknowledge", "resolve", "update"})


@dataclass(frozen=True, slots=True)
class Notification:
    """Tell `receiver` about `event`, which is about `group`. `delivery_id` is the idempotency key.

    first: the receiver has not been asked to page about this group before.
    resent: an earlier process may have sent it already and died before it could write that down.
    stands_in_for: the receiver that was to be told and could not be.
    message_ref: where its message about the group is, in its own terms, as far as `deliveries.v1` knew at the start.
    """

    delivery_id: str
    receiver: str
    action: DeliveryAction
    event: Escalation
    group: GroupView
    first: bool = True
    resent: bool = False
    stands_in_for: str | None = None
    message_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """`retry`: the same request may succeed later, not before `retry_after_s` if the receiver said so. `reason` is fit for a log.

    busy: the receiver works, and asks for patience. message_ref: where the message is, as soon as there is one.
    """

    outcome: Literal["delivered", "rejected", "retry"]
    http_status: int | None = None
    reason: str = ""
    retry_after_s: float = 0.0
    busy: bool = False
    message_ref: str | None = None


class Receiver(Protocol):
    """One place that can be told; of the actions it `hears`. `send` makes one attempt and does not raise for what may happen.

    Only what `line.Desk.may_send` raises, it raises too, where it asks again between requests; each of these takes at most
    `http.TOTAL_TIMEOUT_S`.
    """

    @property
    def hears(self) -> frozenset[DeliveryAction]: ...

    async def send(self, notification: Notification) -> Attempt: ...


class LogReceiver:
    """A receiver without address: its notifications are JSON lines in the log."""

    hears = BEGIN_ACK_AND_END

    async def send(self, notification: Notification) -> Attempt:
        alert = notification.event.alert
        log.info(
            "notification",
            receiver=notification.receiver,
            action=notification.action,
            incident_key=alert.incident_key,
            group_key=notification.group.group_key,
            incidents=notification.group.members_total,
            rule=alert.rule,
            state=alert.state,
            summary=alert.summary,
            why=notification.event.reason,
        )
        return Attempt("delivered", reason="written to the log, the receiver has no address")
