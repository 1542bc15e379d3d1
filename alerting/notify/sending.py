"""A notification on its way: what has become of it so far, as `deliveries.v1` tells it, and how long to wait and to go on trying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alerting.notify.receiver import Attempt, Notification
from schemas.delivery import Delivery, DeliveryOutcome
from schemas.timestamps import from_ms

#: From the intent on. By then the escalation has reached somebody else.
GIVE_UP_AFTER_MS: Final = 900_000
#: The same of a page that another receiver can take.
FAIL_OVER_AFTER_MS: Final = 60_000
#: The same of what pages nobody, while nothing else waits for the receiver: an incident should not stay open there.
GIVE_UP_ON_ENDS_AFTER_MS: Final = 86_400_000
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_WAIT_ASKED_FOR_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Sending:
    """A notification whose intent is on `deliveries.v1` since `intent_at_ms`, after `attempts` attempts."""

    notification: Notification
    intent_at_ms: int
    attempts: int = 0

    @property
    def pages(self) -> bool:
        return self.notification.action == "trigger"

    def has_had_its_time(self, now_ms: int, *, stand_in: bool, others_wait: bool) -> bool:
        """Whether a failed attempt was the last one."""
        if self.pages:
            most_ms = FAIL_OVER_AFTER_MS if stand_in else GIVE_UP_AFTER_MS
        else:
            most_ms = GIVE_UP_AFTER_MS if others_wait else GIVE_UP_ON_ENDS_AFTER_MS
        return now_ms - self.intent_at_ms >= most_ms


def delivery_of(
    sending: Sending,
    outcome: DeliveryOutcome,
    now_ms: int,
    attempt: Attempt | None = None,
    *,
    reason: str = "",
    failover: str | None = None,
) -> Delivery:
    """The line for `deliveries.v1`; `failover`: who is told instead, by default whom this receiver stands in for."""
    notification = sending.notification
    return Delivery(
        delivery_id=notification.delivery_id,
        incident_key=notification.event.incident_key,
        rule=notification.event.rule,
        receiver=notification.receiver,
        action=notification.action,
        step=notification.event.step,
        intent_at=from_ms(sending.intent_at_ms),
        outcome=outcome,
        attempt=sending.attempts,
        at=from_ms(now_ms),
        http_status=None if attempt is None else attempt.http_status,
        reason=reason or ("" if attempt is None else attempt.reason),
        resent=notification.resent,
        group_key=notification.group.group_key,
        failover=failover or notification.stands_in_for,
        message_ref=None if attempt is None else attempt.message_ref,
    )


def intent_reason(notification: Notification) -> str:
    """Why it is sent, and in whose place."""
    instead_of = notification.stands_in_for
    return notification.event.reason if instead_of is None else f"in place of {instead_of}: {notification.event.reason}"


def next_delay_s(attempts: int, retry_after_s: float, jitter: float) -> float:
    """Seconds to wait after `attempts` failed attempts: doubling, less up to half of it (`jitter` in [0, 1)), never less than asked for."""
    backoff_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(attempts - 1, 10))
    return max(backoff_s * (1 - jitter / 2), min(retry_after_s, _LONGEST_WAIT_ASKED_FOR_S))
