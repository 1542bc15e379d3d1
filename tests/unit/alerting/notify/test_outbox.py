from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from alerting.notify import http
from alerting.notify.receiver import EVERYTHING, Attempt, Notification
from alerting.notify.sending import Sending, next_delay_s
from pipeline.runtime.errors import RetryAfter
from tests.contract.notify.incidents import notification
from tests.receivers.pagerduty import pagerduty
from tests.receivers.server import Misbehaviour
from tests.receivers.server import Receiver as Server
from tests.receivers.slack import slack
from tests.unit.alerting.notify.office import Office, office, until


class Desk:
    """Two receivers behind an outbox without stand-ins."""

    def __init__(self, at: Office, slack_server: Server, pagerduty_server: Server) -> None:
        self.at, self.slack, self.pagerduty = at, slack_server, pagerduty_server
        self.clock, self.outbox, self.recorded, self.errors = at.clock, at.outbox, at.recorded, at.errors
        self.put, self.idle, self.outcomes = at.put, at.idle, at.outcomes


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with slack() as slack_server, pagerduty() as pagerduty_server, office(slack_server.url, pagerduty_server.url) as at:
        yield Desk(at, slack_server, pagerduty_server)


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
    monkeypatch.setattr(http, "TOTAL_TIMEOUT_S", 0.2)
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


async def test_a_receiver_that_stays_down_is_given_up_after_fifteen_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are bounded in time; the last line says so. After four failures the breaker lets one through every 20 s or later."""
    async with desk() as at:
        at.clock.rule_breakers(monkeypatch)
        at.slack.misbehave(*(Misbehaviour(status=503) for _ in range(100)))
        at.put()
        await at.idle()
        outcomes = at.outcomes()
        assert {outcome for outcome, _, _ in outcomes[:-1]} == {"retrying"}
        assert outcomes[-1][0] == "gave_up"
        assert at.clock.slept[:4] == [0.5, 1, 2, 4]
        assert 900 <= sum(at.clock.slept) < 930
        assert 25 < len(outcomes) < 50


async def test_an_outcome_that_cannot_be_recorded_ends_the_outbox_and_is_told() -> None:
    """Without a record nobody would know what was sent: the owner must start again from the topics."""
    async with desk() as at:
        at.at.broken = ConnectionError("no broker")
        at.put()
        await until(lambda: at.errors)
        assert isinstance(at.errors[0], ConnectionError)


async def test_a_receiver_that_is_gone_and_a_message_that_cannot_be_made_are_refusals() -> None:
    """They are recorded, and the notification behind them is delivered."""
    async with desk() as at:
        sound = notification()
        nonsense = replace(sound, group=replace(sound.group, severity="urgent"))  # type: ignore[arg-type]  # PagerDuty's cannot be told
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
        at.at.superseded = True
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


async def test_a_receiver_that_finds_between_two_requests_that_another_acts_ends_its_line() -> None:
    """It is no bug of a receiver, and nothing is recorded: whoever has the partition sends it."""

    class Sleeper:
        hears = EVERYTHING

        async def send(self, notification: Notification) -> Attempt:
            raise RetryAfter("another notifier has the partition now")

    at = Office({"slack-critical": Sleeper()}, {})
    at.put()
    await until(lambda: at.errors)
    await at.outbox.close()
    assert [str(error) for error in at.errors] == ["another notifier has the partition now"]
    assert at.recorded == []
