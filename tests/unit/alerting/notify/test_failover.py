from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from alerting.notify.breaker import Breaker
from alerting.notify.receiver import Attempt
from alerting.notify.sending import Sending
from tests.contract.notify.incidents import an_event, notification, told_of
from tests.receivers.pagerduty import pagerduty
from tests.receivers.server import Misbehaviour, Receiver
from tests.receivers.slack import slack
from tests.unit.alerting.notify.office import HandClock, Office, office, until

ROUTES = {"pagerduty": ("pagerduty", "slack-critical", "slack-alerts"), "slack-critical": ("slack-critical", "pagerduty")}


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Office, Receiver, Receiver]]:
    """An office in which Slack stands in for PagerDuty and the other way round, and the two servers."""
    async with slack() as slack_server, pagerduty() as pager, office(slack_server.url, pager.url, ROUTES) as at:
        yield at, slack_server, pager


async def test_a_page_that_is_refused_goes_to_the_next_receiver() -> None:
    """PagerDuty refuses; Slack is told, the record says for whom, and which intent came of it."""
    async with two() as (at, slack_server, pager):
        pager.misbehave({"status": 400})
        at.put("pagerduty")
        await at.idle()
        assert [(d.receiver, d.outcome, d.failover) for d in at.recorded] == [
            ("pagerduty", "failed_over", "slack-critical"),
            ("slack-critical", "intended", "pagerduty"),
            ("slack-critical", "delivered", "pagerduty"),
        ]
        assert at.recorded[1].reason == "in place of pagerduty: the incident fires"
        assert len({d.delivery_id for d in at.recorded}) == 2
        assert len(slack_server.accepted()) == 1


async def test_stand_ins_are_tried_in_order_until_none_is_left() -> None:
    """Everybody refuses: each is asked once, nobody twice, and the last line says rejected."""
    async with two() as (at, slack_server, pager):
        pager.misbehave({"status": 404}, {"status": 404})
        slack_server.misbehave({"status": 404}, {"status": 404})
        at.put("pagerduty")
        await at.idle()
        assert [(d.receiver, d.outcome) for d in at.recorded if d.outcome != "intended"] == [
            ("pagerduty", "failed_over"),
            ("slack-critical", "failed_over"),
            ("slack-alerts", "rejected"),
        ]


async def test_a_receiver_that_does_not_answer_is_failed_over_within_a_minute() -> None:
    """503 again and again: after four the breaker opens, and Slack has the page long before fifteen minutes are over."""
    async with two() as (at, slack_server, pager):
        pager.misbehave(*(Misbehaviour(status=503) for _ in range(50)))
        began_ms = at.clock.now_ms()
        at.put("pagerduty")
        await at.idle()
        assert at.outcomes("pagerduty") == [("retrying", n, 503) for n in (1, 2, 3)] + [("failed_over", 4, 503)]
        assert at.clock.now_ms() - began_ms < 60_000
        assert len(slack_server.accepted()) == 1


async def test_a_receiver_that_only_asks_for_patience_is_not_down_and_keeps_its_page_for_a_minute() -> None:
    """429 does not open the breaker; but whoever can be told instead is told after a minute."""
    async with two() as (at, slack_server, pager):
        pager.misbehave(*(Misbehaviour(status=429, retry_after_s=20) for _ in range(50)))
        at.put("pagerduty")
        await at.idle()
        assert at.outcomes("pagerduty") == [("retrying", n, 429) for n in (1, 2, 3)] + [("failed_over", 4, 429)]
        assert at.clock.slept == [20, 20, 20]
        assert len(slack_server.accepted()) == 1


async def test_pages_behind_one_that_finds_the_breaker_open_do_not_wait_for_it() -> None:
    """An end waits at the head of a dead receiver's line: the pages behind it, also those that come later, are told elsewhere."""
    async with two() as (at, slack_server, pager):
        pager.misbehave(*(Misbehaviour(status=503) for _ in range(4)), {"hang_s": 60})
        at.outbox.put(Sending(notification("resolve", "pagerduty"), at.clock.now_ms()))
        for number in range(3):
            page = told_of(an_event("step_due", f"web-{number}", target="pagerduty"), "trigger", "pagerduty")
            at.outbox.put(Sending(page, at.clock.now_ms()))
        await until(lambda: len(slack_server.accepted()) == 3)
        assert [outcome for outcome, _, _ in at.outcomes("pagerduty")] == ["retrying"] * 4 + ["failed_over"] * 3


async def test_the_end_of_what_was_failed_over_follows_it() -> None:
    """The resolution waits behind the page: whoever is told of the page instead is told of the end too."""
    async with two() as (at, slack_server, pager):
        pager.misbehave({"status": 400})
        at.put("pagerduty")
        at.outbox.put(Sending(notification("resolve", "pagerduty"), at.clock.now_ms()))
        await at.idle()
        assert [body["blocks"][0]["text"]["text"].rsplit(maxsplit=1)[-1] for body in slack_server.accepted()] == ["fires", "resolved"]
        assert [body["event_action"] for body in pager.accepted()] == ["resolve"]


async def test_the_end_follows_all_pages_that_were_failed_over_and_is_told_once() -> None:
    """Three pages of a group and its end wait: whoever stands in is told of each page, and then once of the end."""
    async with two() as (at, slack_server, pager):
        pager.misbehave({"status": 400})
        for number in range(3):
            page = told_of(an_event("step_due", target="pagerduty", step=0, number=number), "trigger", "pagerduty")
            at.outbox.put(Sending(page, at.clock.now_ms()))
        at.outbox.put(Sending(notification("resolve", "pagerduty"), at.clock.now_ms()))
        await at.idle()
        told = [body["blocks"][0]["text"]["text"].rsplit(maxsplit=1)[-1] for body in slack_server.accepted()]
        assert told == ["fires", "fires", "fires", "resolved"]
        assert [body["event_action"] for body in pager.accepted()] == ["resolve"]
        assert [outcome for outcome, _, _ in at.outcomes("pagerduty")] == ["failed_over"] * 3 + ["delivered"]


async def test_nobody_is_told_instead_once_somebody_works_on_it() -> None:
    """Acknowledged while it was tried: the failure is recorded, and that is all."""
    async with two() as (at, slack_server, pager):
        at.wanted = False
        pager.misbehave({"status": 400})
        at.put("pagerduty")
        await at.idle()
        assert at.outcomes("pagerduty") == [("rejected", 1, 400)]
        assert slack_server.received == []


async def test_a_page_for_a_receiver_that_is_down_needs_nobody_once_somebody_works_on_it() -> None:
    """It is stale, not given up: who watches for pages that were lost need not be called."""
    async with two() as (at, slack_server, pager):
        at.wanted = False
        pager.misbehave({"status": 500}, {"status": 500}, {"status": 500}, {"status": 500})
        at.put("pagerduty")
        await at.idle()
        assert [outcome for outcome, _, _ in at.outcomes("pagerduty")] == ["retrying"] * 3 + ["stale"]
        assert at.recorded[-1].reason == "nobody waits for it any more: the receiver answers 500"
        assert slack_server.received == []


async def test_only_pages_fail_over() -> None:
    """An end that is refused is recorded as that."""
    async with two() as (at, slack_server, pager):
        pager.misbehave({"status": 400})
        at.outbox.put(Sending(notification("resolve", "pagerduty"), at.clock.now_ms()))
        await at.idle()
        assert at.outcomes("pagerduty") == [("rejected", 1, 400)]
        assert slack_server.received == []


async def test_an_end_is_tried_for_a_day_while_nothing_waits_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """PagerDuty is away for an hour after the incident: it still learns of the end."""
    async with two() as (at, _, pager):
        at.clock.rule_breakers(monkeypatch)
        pager.misbehave(*(Misbehaviour(status=503) for _ in range(120)))
        at.outbox.put(Sending(notification("resolve", "pagerduty"), at.clock.now_ms()))
        await at.idle()
        assert at.outcomes("pagerduty")[-1] == ("delivered", 121, 202)
        assert sum(at.clock.slept) > 2000


async def test_a_breaker_opens_after_four_failures_and_lets_one_attempt_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed, open for 20 s, then one attempt: a failure opens it again at once, a success closes it; 429 and refusals are answers."""
    clock = HandClock()
    clock.rule_breakers(monkeypatch)
    breaker, answers, made = Breaker("pagerduty", clock), list[Attempt](), list[Attempt]()

    async def attempt() -> Attempt:
        made.append(answers.pop(0))
        return made[-1]

    down, busy, refused = Attempt("retry", 503), Attempt("retry", 429, busy=True), Attempt("rejected", 400)
    answers = [down, down, down, busy, refused, down, down, down, down]
    for _ in range(9):
        assert not breaker.is_open
        await breaker.call(attempt)
    assert breaker.is_open
    assert await breaker.call(attempt) is None
    assert breaker.left_s == pytest.approx(20, abs=0.2)
    answers = [down]
    clock.ms += 20_100
    assert await breaker.call(attempt) == down
    assert breaker.is_open
    answers = [replace(down, outcome="delivered")]
    clock.ms += 20_100
    assert (await breaker.call(attempt)) == made[-1]
    assert not breaker.is_open
