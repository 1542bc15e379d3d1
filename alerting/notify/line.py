"""The queue of one receiver: in order, one at a time, until each has its outcome. Pages need not wait for a receiver that is down."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from alerting.metrics import BREAKER_OPEN, DELIVERIES
from alerting.notify.breaker import Breaker
from alerting.notify.receiver import Attempt, Notification, Receiver
from alerting.notify.sending import Sending, delivery_of, intent_reason, next_delay_s
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import TelemetryError
from schemas.delivery import Delivery, DeliveryOutcome

log = structlog.get_logger(__name__)

_DOWN: Final = Attempt("retry", reason="it did not answer the last times it was asked, and is left alone for a while")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the lines of an outbox share.

    may_send: asked before every attempt; raises when this process is not the one to send any more.
    record: makes lines durable on `deliveries.v1`, in order; raises when it cannot.
    stand_in: the notification for another receiver; None: nobody waits for it any more.
    put: queues for its receiver what has an intent on `deliveries.v1`.
    """

    may_send: Callable[[], Awaitable[None]]
    record: Callable[[Sequence[Delivery]], Awaitable[None]]
    stand_in: Callable[[Notification, str], Notification | None]
    put: Callable[[Sending], None]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[], float]


class Line:
    """Serves `receiver`; `routes` names a receiver and then who stands in for it, in order."""

    def __init__(self, receiver: Receiver, routes: Callable[[str], tuple[str, ...]], breaker: Breaker, desk: Desk) -> None:
        self._receiver, self._routes, self._breaker, self._desk = receiver, routes, breaker, desk
        self._waiting: deque[Sending] = deque()
        self._news, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    def put(self, sending: Sending) -> None:
        self._waiting.append(sending)
        self._idle.clear()
        self._news.set()

    @property
    def is_idle(self) -> bool:
        return self._idle.is_set()

    async def idle(self) -> None:
        """Until everything that was put has an outcome."""
        await self._idle.wait()

    async def serve(self) -> None:
        """For ever; what `Desk` raises ends it."""
        while True:
            while self._waiting:
                await self._deliver()
            self._idle.set()
            self._news.clear()
            await self._news.wait()

    async def _deliver(self) -> None:
        """The first of the line, until it is out of it."""
        while self._waiting:
            sending = self._waiting[0]
            attempt = await self._breaker.call(partial(self._attempt, sending.notification))
            BREAKER_OPEN.labels(sending.notification.receiver).set(self._breaker.is_open)
            if attempt is not None:
                sending = self._waiting[0] = replace(sending, attempts=sending.attempts + 1)
            outcome = await self._conclude(sending, attempt)
            if outcome != "retrying":
                return
            made = attempt or _DOWN
            delay_s = next_delay_s(max(1, sending.attempts), made.retry_after_s, self._desk.jitter())
            await self._pause(self._breaker.left_s if attempt is None else delay_s)

    async def _attempt(self, notification: Notification) -> Attempt:
        """A message that cannot even be made must not hold up the next one."""
        await self._desk.may_send()
        try:
            return await self._receiver.send(notification)
        except TelemetryError:
            raise
        except Exception as error:
            log.exception("a bug in a receiver", receiver=notification.receiver, incident_key=notification.event.incident_key)
            return Attempt("rejected", reason=f"a bug of the notifier, {type(error).__name__}; its log has the stack")

    async def _conclude(self, sending: Sending, attempt: Attempt | None) -> DeliveryOutcome:
        """Write down what became of the first of the line; when that is final, it leaves."""
        made = attempt or _DOWN
        stand_in = self._next_of(sending)
        now_ms, others_wait = self._desk.clock.now_ms(), len(self._waiting) > 1
        late = sending.has_had_its_time(now_ms, stand_in=stand_in is not None, others_wait=others_wait)
        if made.outcome == "delivered":
            outcome: DeliveryOutcome = "delivered"
        elif stand_in is not None and (made.outcome == "rejected" or late or self._breaker.is_open):
            return await self._fail_over(sending, made, stand_in)
        elif made.outcome == "rejected":
            outcome = "rejected"
        else:
            outcome = "gave_up" if late else "retrying"
        if attempt is not None or outcome != "retrying":
            await self._desk.record([delivery_of(sending, outcome, now_ms, made)])
            self._say(sending, outcome, made)
        if outcome != "retrying":
            self._waiting.popleft()
        return outcome

    def _next_of(self, sending: Sending) -> str | None:
        """Who is told when this one cannot be: of the route of the receiver that was meant, whoever comes after."""
        if not sending.pages:
            return None
        notification = sending.notification
        route = self._routes(notification.stands_in_for or notification.receiver)
        here = route.index(notification.receiver) if notification.receiver in route else len(route)
        return route[here + 1] if here + 1 < len(route) else None

    async def _fail_over(self, sending: Sending, made: Attempt, stand_in: str) -> DeliveryOutcome:
        """Another receiver is told instead; unless somebody works on it by now.

        If the end waits here already, it is told of that too, once: after every page of the group that waits here.
        """
        now_ms, ends = self._desk.clock.now_ms(), self._ends_of(sending)
        pages = [one for one in self._waiting if one is sending or (ends and self._is_like(sending, one, stand_in))]
        lines: list[Delivery] = []
        begun: list[Sending] = []
        outcomes: list[DeliveryOutcome] = []
        for page in pages:
            line, instead = self._handed_on(page, made if page is sending else _DOWN, stand_in, now_ms)
            lines.append(line)
            outcomes.append(line.outcome)
            begun += [] if instead is None else [Sending(instead, now_ms)]
        if begun:
            told = (self._desk.stand_in(end.notification, stand_in) for end in ends)
            begun += [Sending(notification, now_ms) for notification in told if notification is not None]
        await self._desk.record(lines + [delivery_of(one, "intended", now_ms, reason=intent_reason(one.notification)) for one in begun])
        self._waiting = deque(other for other in self._waiting if not any(other is page for page in pages))
        for page, outcome in zip(pages, outcomes, strict=True):
            self._say(page, outcome, made if page is sending else _DOWN)
        for one in begun:
            self._desk.put(one)
        return next(outcome for page, outcome in zip(pages, outcomes, strict=True) if page is sending)

    def _ends_of(self, sending: Sending) -> list[Sending]:
        key = sending.notification.group.group_key
        return [one for one in self._waiting if one.notification.action == "resolve" and one.notification.group.group_key == key]

    def _is_like(self, sending: Sending, other: Sending, stand_in: str) -> bool:
        """Whether it is a page about the same group that the same receiver can take."""
        return other.notification.group.group_key == sending.notification.group.group_key and self._next_of(other) == stand_in

    def _handed_on(self, page: Sending, made: Attempt, stand_in: str, now_ms: int) -> tuple[Delivery, Notification | None]:
        """The last line of a page here, and what the other one is told; None: nobody waits for it any more."""
        instead = self._desk.stand_in(page.notification, stand_in)
        if instead is not None:
            reason = f"{stand_in} is told instead: {made.reason}"
            return delivery_of(page, "failed_over", now_ms, made, reason=reason, failover=stand_in), instead
        if made.outcome == "rejected":
            return delivery_of(page, "rejected", now_ms, made), None
        return delivery_of(page, "stale", now_ms, made, reason=f"nobody waits for it any more: {made.reason}"), None

    async def _pause(self, seconds: float) -> None:
        """Before the next attempt; pages that others can take do not wait for it while the breaker is open."""
        sleeping = asyncio.ensure_future(self._desk.sleep(seconds))
        try:
            while not sleeping.done():
                self._news.clear()
                if self._breaker.is_open:
                    await self._fail_over_the_others()
                news = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({sleeping, news}, return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
        finally:
            sleeping.cancel()

    async def _fail_over_the_others(self) -> None:
        for sending in list(self._waiting)[1:]:
            if any(one is sending for one in self._waiting) and (stand_in := self._next_of(sending)) is not None:
                await self._fail_over(sending, _DOWN, stand_in)

    def _say(self, sending: Sending, outcome: DeliveryOutcome, attempt: Attempt) -> None:
        notification = sending.notification
        DELIVERIES.labels(notification.receiver, outcome).inc()
        say = log.info if outcome in {"delivered", "stale"} else log.warning if outcome in {"retrying", "failed_over"} else log.error
        say(
            f"notification {outcome}",
            receiver=notification.receiver,
            action=notification.action,
            incident_key=notification.event.incident_key,
            attempt=sending.attempts,
            http_status=attempt.http_status,
            reason=attempt.reason,
        )
