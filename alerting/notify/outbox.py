"""One line and one task per receiver: what is slow or dead holds up nobody else. Every attempt's outcome is recorded before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from alerting.notify.breaker import Breaker
from alerting.notify.line import Desk, Line
from alerting.notify.receiver import BEGIN_ACK_AND_END, Attempt, Notification, Receiver
from alerting.notify.sending import Sending
from pipeline.runtime.clock import Clock
from schemas.delivery import Delivery

_NOBODY: Final = ""


class _Nobody:
    """Stands for receivers that an older escalation names and routes.yaml has no longer."""

    hears = BEGIN_ACK_AND_END

    async def send(self, notification: Notification) -> Attempt:
        return Attempt("rejected", reason="routes.yaml has no receiver of this name")


class Outbox:
    """Sends what it is given, in the order given to each receiver.

    Args:
        receivers: by name.
        routes: for each receiver, itself and then who stands in for it, in order.
        may_send, record, stand_in, clock, sleep, jitter: see `Desk`; jitter is a random number in [0, 1).
        failed: told the error with which a line ended; its receiver hears nothing more from this outbox.
    """

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        *,
        routes: Mapping[str, tuple[str, ...]],
        may_send: Callable[[], Awaitable[None]],
        record: Callable[[Sequence[Delivery]], Awaitable[None]],
        stand_in: Callable[[Notification, str], Notification | None],
        failed: Callable[[Exception], None],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float],
    ) -> None:
        self._failed = failed
        desk = Desk(may_send, record, stand_in, self.put, clock, sleep, jitter)

        def route(name: str) -> tuple[str, ...]:
            return routes.get(name, ())

        every: dict[str, Receiver] = {**receivers, _NOBODY: _Nobody()}
        self._lines = {name: Line(receiver, route, Breaker(name, clock), desk) for name, receiver in every.items()}
        self._tasks = [asyncio.create_task(self._serve(line), name=f"outbox {name}") for name, line in self._lines.items()]

    def put(self, sending: Sending) -> None:
        """Queue for its receiver; its intent must be durable."""
        self._lines.get(sending.notification.receiver, self._lines[_NOBODY]).put(sending)

    async def idle(self) -> None:
        """Until everything that was put has an outcome, stand-ins' included."""
        while not all(line.is_idle for line in self._lines.values()):
            await asyncio.gather(*(line.idle() for line in self._lines.values()))

    async def close(self) -> None:
        """Stop at once. What has no outcome is sent again by whoever reads its intent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, line: Line) -> None:
        try:
            await line.serve()
        except Exception as error:
            self._failed(error)
