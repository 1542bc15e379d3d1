"""One queue and one task per receiver: what is slow or dead holds up nobody else. Every attempt's outcome is recorded before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from alerting.metrics import DELIVERIES
from alerting.notify.receiver import Attempt, Notification, Receiver
from pipeline.runtime.clock import Clock
from schemas.delivery import Delivery, DeliveryOutcome
from schemas.timestamps import from_ms

log = structlog.get_logger(__name__)

#: From the intent on. By then the escalation has reached somebody else.
GIVE_UP_AFTER_MS: Final = 900_000
_NOBODY: Final = ""
_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_LONGEST_WAIT_ASKED_FOR_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Sending:
    """A notification whose intent is on `deliveries.v1` since `intent_at_ms`, after `attempts` attempts."""

    notification: Notification
    intent_at_ms: int
    attempts: int = 0


def delivery_of(sending: Sending, outcome: DeliveryOutcome, now_ms: int, attempt: Attempt | None = None, reason: str = "") -> Delivery:
    """The line for `deliveries.v1`."""
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
        reason=reason if attempt is None else attempt.reason,
        resent=notification.resent,
    )


def next_delay_s(attempts: int, retry_after_s: float, jitter: float) -> float:
    """Seconds to wait after `attempts` failed attempts: doubling, less up to half of it (`jitter` in [0, 1)), never less than asked for."""
    backoff_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(attempts - 1, 10))
    return max(backoff_s * (1 - jitter / 2), min(retry_after_s, _LONGEST_WAIT_ASKED_FOR_S))


class _Nobody:
    """Stands for receivers that an older escalation names and routes.yaml has no longer."""

    async def send(self, notification: Notification) -> Attempt:
        return Attempt("rejected", reason="routes.yaml has no receiver of this name")


async def _send(receiver: Receiver, notification: Notification) -> Attempt:
    """A message that cannot even be made must not hold up the next one."""
    try:
        return await receiver.send(notification)
    except Exception as error:
        log.exception("a bug in a receiver", receiver=notification.receiver, incident_key=notification.event.incident_key)
        return Attempt("rejected", reason=f"a bug of the notifier, {type(error).__name__}; its log has the stack")


class Outbox:
    """Sends what it is given, in the order given to each receiver.

    Args:
        receivers: by name.
        may_send: asked before every attempt; raises what `failed` is told when this process is not the one to send any more.
        record: makes a line durable on `deliveries.v1`; if it raises, the queue ends there and `failed` is told.
        failed: told the error with which a queue ended; its receiver hears nothing more from this outbox.
        clock, sleep, jitter: time, and a random number in [0, 1).
    """

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        *,
        may_send: Callable[[], None],
        record: Callable[[Delivery], Awaitable[None]],
        failed: Callable[[Exception], None],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float],
    ) -> None:
        self._receivers: dict[str, Receiver] = {**receivers, _NOBODY: _Nobody()}
        self._may_send, self._record, self._failed = may_send, record, failed
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._queues: dict[str, asyncio.Queue[Sending]] = {name: asyncio.Queue() for name in self._receivers}
        self._tasks = [asyncio.create_task(self._serve(name), name=f"outbox {name}") for name in self._receivers]

    def put(self, sending: Sending) -> None:
        """Queue for its receiver; its intent must be durable."""
        self._queues.get(sending.notification.receiver, self._queues[_NOBODY]).put_nowait(sending)

    async def idle(self) -> None:
        """Until everything that was put has an outcome."""
        await asyncio.gather(*(queue.join() for queue in self._queues.values()))

    async def close(self) -> None:
        """Stop at once. What has no outcome is sent again by whoever reads its intent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, name: str) -> None:
        queue, receiver = self._queues[name], self._receivers[name]
        try:
            while True:
                await self._deliver(receiver, await queue.get())
                queue.task_done()
        except Exception as error:
            self._failed(error)

    async def _deliver(self, receiver: Receiver, sending: Sending) -> None:
        while True:
            self._may_send()
            attempt = await _send(receiver, sending.notification)
            sending = Sending(sending.notification, sending.intent_at_ms, sending.attempts + 1)
            outcome = self._outcome(sending, attempt)
            await self._record(delivery_of(sending, outcome, self._clock.now_ms(), attempt))
            self._tell(sending, outcome, attempt)
            if outcome != "retrying":
                return
            await self._sleep(next_delay_s(sending.attempts, attempt.retry_after_s, self._jitter()))

    def _outcome(self, sending: Sending, attempt: Attempt) -> DeliveryOutcome:
        if attempt.outcome != "retry":
            return attempt.outcome
        return "gave_up" if self._clock.now_ms() - sending.intent_at_ms >= GIVE_UP_AFTER_MS else "retrying"

    def _tell(self, sending: Sending, outcome: DeliveryOutcome, attempt: Attempt) -> None:
        notification = sending.notification
        DELIVERIES.labels(notification.receiver, outcome).inc()
        say = log.info if outcome == "delivered" else log.warning if outcome == "retrying" else log.error
        say(
            f"notification {outcome}",
            receiver=notification.receiver,
            action=notification.action,
            incident_key=notification.event.incident_key,
            attempt=sending.attempts,
            http_status=attempt.http_status,
            reason=attempt.reason,
        )
