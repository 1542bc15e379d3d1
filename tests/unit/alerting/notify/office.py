"""An outbox with a hand-moved clock, on receivers that really listen, and what it recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.engine.identity import digest
from alerting.notify.outbox import Outbox
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.receiver import Notification, Receiver
from alerting.notify.sending import Sending
from alerting.notify.slack import SlackReceiver
from pipeline.runtime.errors import RetryAfter
from schemas.delivery import Delivery
from tests.contract.notify.incidents import notification

ROUTING_KEY = "0123456789abcdef0123456789abcdef"


class HandClock:
    """Time moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.ms = 1_000_000
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += round(seconds * 1000)
        await asyncio.sleep(0)

    def rule_breakers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """purgatory asks the machine's clock: make that this one."""
        monkeypatch.setattr("purgatory.domain.model.time", SimpleNamespace(time=lambda: self.ms / 1000))


class Office:
    """`recorded`: what would be on deliveries.v1; `superseded`: another one acts; `wanted`: nobody has acknowledged; `broken`: Kafka."""

    def __init__(self, receivers: Mapping[str, Receiver], routes: Mapping[str, tuple[str, ...]]) -> None:
        self.clock, self.recorded, self.errors = HandClock(), list[Delivery](), list[Exception]()
        self.superseded, self.wanted = False, True
        self.broken: Exception | None = None
        self.outbox = Outbox(
            receivers,
            routes=routes,
            may_send=self.may_send,
            record=self.record,
            stand_in=self.stand_in,
            failed=self.errors.append,
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 0.0,
        )

    async def may_send(self) -> None:
        if self.superseded:
            raise RetryAfter("another notifier has the partition")

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        if self.broken is not None:
            raise self.broken
        self.recorded.extend(deliveries)

    def stand_in(self, failed: Notification, receiver: str) -> Notification | None:
        delivery_id = digest(failed.event.escalation_id, receiver)
        instead_of = failed.stands_in_for or failed.receiver
        return replace(failed, delivery_id=delivery_id, receiver=receiver, stands_in_for=instead_of) if self.wanted else None

    def put(self, receiver: str = "slack-critical") -> None:
        self.outbox.put(Sending(notification("trigger", receiver), self.clock.now_ms()))

    async def idle(self) -> None:
        """Until everything has its outcome; an error of the outbox is the test's."""
        waiting = asyncio.create_task(self.outbox.idle())
        await until(lambda: waiting.done() or self.errors, within_s=10)
        if self.errors:
            waiting.cancel()
            raise self.errors[0]

    def outcomes(self, receiver: str = "slack-critical") -> list[tuple[str, int, int | None]]:
        return [(d.outcome, d.attempt, d.http_status) for d in self.recorded if d.receiver == receiver]


@asynccontextmanager
async def office(slack_url: str, pagerduty_url: str, routes: Mapping[str, tuple[str, ...]] | None = None) -> AsyncIterator[Office]:
    """With `slack-critical` and `slack-alerts` as webhooks at one address, and `pagerduty`."""
    async with aiohttp.ClientSession() as session:
        webhook = SlackReceiver(session, SecretStr(slack_url + "/services/T/B/x"))
        alerts = SlackReceiver(session, SecretStr(slack_url + "/services/T/B/alerts"))
        pager = PagerDutyReceiver(session, SecretStr(pagerduty_url + "/v2/enqueue"), SecretStr(ROUTING_KEY))
        at = Office({"slack-critical": webhook, "slack-alerts": alerts, "pagerduty": pager}, routes or {})
        try:
            yield at
        finally:
            await at.outbox.close()


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
