from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.notify import receiver as receiver_module
from alerting.notify.outbox import Outbox, Sending, next_delay_s
from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.receiver import Receiver
from alerting.notify.slack import SlackReceiver
from pipeline.runtime.errors import RetryAfter
from schemas.delivery import Delivery
from tests.contract.notify.incidents import notification
from tests.receivers.pagerduty import pagerduty
from tests.receivers.server import Misbehaviour
from tests.receivers.server import Receiver as Server
from tests.receivers.slack import slack

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


class Desk:
    """Two receivers behind an outbox, and what was recorded."""

    def __init__(self, slack_server: Server, pagerduty_server: Server, session: aiohttp.ClientSession) -> None:
        self.clock, self.recorded, self.errors = HandClock(), list[Delivery](), list[Exception]()
        self.superseded = False
        self.slack, self.pagerduty = slack_server, pagerduty_server
        receivers: dict[str, Receiver] = {
            "slack-critical": SlackReceiver(session, SecretStr(slack_server.url + "/services/T/B/x")),
            "pagerduty": PagerDutyReceiver(session, SecretStr(pagerduty_server.url + "/v2/enqueue"), SecretStr(ROUTING_KEY)),
        }
        self.outbox = Outbox(
            receivers,
            may_send=self.may_send,
            record=self.record,
            failed=self.errors.append,
            clock=self.clock,
            sleep=self.clock.sleep,
            jitter=lambda: 0.0,
        )

    def may_send(self) -> None:
        if self.superseded:
            raise RetryAfter("another notifier has the partition")

    async def record(self, delivery: Delivery) -> None:
        self.recorded.append(delivery)

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
async def desk() -> AsyncIterator[Desk]:
    async with slack() as slack_server, pagerduty() as pagerduty_server, aiohttp.ClientSession() as session:
        at = Desk(slack_server, pagerduty_server, session)
        try:
            yield at
        finally:
            await at.outbox.close()


async def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_what_is_delivered_at_once_is_recorded_once() -> None:
    """One attempt, one line with the status."""
    async with desk() as at:
        at.put()
        await at.idle()
        assert at.outcomes() == [("delivered", 1, 200)]
        assert len(at.slack.accepted()) == 1


async def test_a_receiver_that_is_busy_is_asked_again_no_sooner_than_it_says() -> None:
    """429 with Retry-After of 7 s, then 503, then success: 7 s, then the second backoff; the same message each time."""
    async with desk() as at:
        at.slack.misbehave({"status": 429, "retry_after_s": 7}, {"status": 503})
        at.put()
        await at.idle()
        assert at.outcomes() == [("retrying", 1, 429), ("retrying", 2, 503), ("delivered", 3, 200)]
        assert at.clock.slept == [7.0, 1.0]
        assert len({str(request.body) for request in at.slack.received}) == 1


async def test_a_refusal_is_final() -> None:
    """4xx other than 408 and 429 is recorded and not tried again."""
    async with desk() as at:
        at.slack.misbehave({"status": 404})
        at.put()
        await at.idle()
        assert at.outcomes() == [("rejected", 1, 404)]
        assert at.clock.slept == []


async def test_a_dropped_connection_is_tried_again() -> None:
    """The connection is reset: no status, another attempt."""
    async with desk() as at:
        at.slack.misbehave({"reset": True})
        at.put()
        await at.idle()
        assert at.outcomes() == [("retrying", 1, None), ("delivered", 2, 200)]


async def test_a_receiver_that_hangs_is_cut_off_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The total timeout ends an attempt."""
    monkeypatch.setattr(receiver_module, "TOTAL_TIMEOUT_S", 0.2)
    async with desk() as at:
        at.slack.misbehave({"hang_s": 30})
        at.put()
        await at.idle()
        assert at.outcomes() == [("retrying", 1, None), ("delivered", 2, 200)]
        assert "no answer" in at.recorded[0].reason


async def test_a_receiver_that_hangs_does_not_delay_another() -> None:
    """While Slack keeps its connection open, PagerDuty gets its page."""
    async with desk() as at:
        at.slack.misbehave({"hang_s": 30})
        at.put("slack-critical")
        at.put("pagerduty")
        await until(lambda: at.outcomes("pagerduty") == [("delivered", 1, 202)])
        assert at.outcomes("slack-critical") == []


async def test_one_receiver_gets_its_notifications_in_order() -> None:
    """A retried page stays before the resolution behind it."""
    async with desk() as at:
        at.slack.misbehave({"status": 500}, {"status": 500})
        at.put()
        at.outbox.put(Sending(notification("resolve"), at.clock.now_ms()))
        await at.idle()
        headers = [body["blocks"][0]["text"]["text"] for body in at.slack.accepted()]
        assert [header.rsplit(maxsplit=2)[1:] for header in headers] == [["Critical", "fires"], ["is", "resolved"]]


async def test_a_receiver_that_stays_down_is_given_up_after_fifteen_minutes() -> None:
    """Attempts are bounded in time; the last line says so."""
    async with desk() as at:
        at.slack.misbehave(*(Misbehaviour(status=503) for _ in range(100)))
        at.put()
        await at.idle()
        outcomes = at.outcomes()
        assert {outcome for outcome, _, _ in outcomes[:-1]} == {"retrying"}
        assert outcomes[-1][0] == "gave_up"
        assert at.clock.slept[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert 900 <= sum(at.clock.slept) < 930


async def test_an_outcome_that_cannot_be_recorded_ends_the_outbox_and_is_told() -> None:
    """Without a record nobody would know what was sent: the owner must start again from the topics."""
    async with desk() as at:

        async def fail(delivery: Delivery) -> None:
            raise ConnectionError("no broker")

        at.outbox._record = fail
        at.put()
        await until(lambda: at.errors)
        assert isinstance(at.errors[0], ConnectionError)


async def test_a_receiver_that_is_gone_and_a_message_that_cannot_be_made_are_refusals() -> None:
    """They are recorded, and the notification behind them is delivered."""
    async with desk() as at:
        nonsense = notification("trigger", severity="urgent")  # no severity of ours: PagerDuty's cannot be told
        at.put("cto")
        at.outbox.put(Sending(replace(nonsense, receiver="pagerduty"), at.clock.now_ms()))
        at.put("pagerduty")
        await at.idle()
        assert at.outcomes("cto") == [("rejected", 1, None)]
        assert at.outcomes("pagerduty") == [("rejected", 1, None), ("delivered", 1, 202)]
        assert "KeyError" in at.recorded[0].reason + at.recorded[1].reason


async def test_whoever_is_superseded_sends_nothing_more() -> None:
    """It is asked before every attempt whether this process is still the one to send."""
    async with desk() as at:
        at.superseded = True
        at.put()
        await until(lambda: at.errors)
        assert (at.slack.received, at.recorded) == ([], [])


@pytest.mark.parametrize(
    ("attempts", "retry_after_s", "jitter", "delay_s"),
    [
        (1, 0, 0, 0.5),
        (1, 0, 0.9, 0.275),
        (4, 0, 0, 4),
        (4, 0, 0.5, 3),
        (20, 0, 0, 30),
        (1, 60, 0.5, 60),
        (8, 2, 0, 30),
        (1, 86_400, 0, 300),
    ],
)
def test_delays_double_with_jitter_up_to_a_bound(attempts: int, retry_after_s: float, jitter: float, delay_s: float) -> None:
    """0.5 s doubling to 30 s, less up to half; never sooner than asked for; nobody can ask for more than five minutes."""
    assert next_delay_s(attempts, retry_after_s, jitter) == pytest.approx(delay_s)
