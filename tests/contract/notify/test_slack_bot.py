from __future__ import annotations

import json
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from pydantic import SecretStr
from slack_sdk.models.blocks import Block
from slack_sdk.models.metadata import Metadata

from alerting.notify import http
from alerting.notify.plan import Plan
from alerting.notify.receiver import Attempt, Notification
from alerting.notify.slack_bot import SlackBot
from pipeline.runtime.errors import RetryAfter
from schemas.escalation import Escalation
from tests.contract.notify.incidents import CONTEXT, a_member, an_event, escalation_events, key, notification, of_a_group
from tests.receivers.slack_api import CHANNEL, TOKEN, Fault, SlackApi, slack_api

HOSTILE = "<!channel> & <https://evil.example|click> `\r\n\x1b[31m ```" + "y" * 5000


async def always() -> None:
    """Nobody else has this process's place."""


def a_bot(session: aiohttp.ClientSession, api: SlackApi, token: str = TOKEN, channel: str = CHANNEL) -> SlackBot:
    return SlackBot(session, SecretStr(api.url), SecretStr(token), channel, always)


@asynccontextmanager
async def workspace() -> AsyncIterator[tuple[SlackApi, aiohttp.ClientSession]]:
    async with slack_api() as api, aiohttp.ClientSession() as session:
        yield api, session
        assert api.violations() == []


def story(events: list[Escalation]) -> list[Notification]:
    """What Slack is told by these events, in order."""
    plan = Plan()
    return [due.notification for event in events for due in plan.read(event) if due.notification.receiver == "slack-critical"]


async def told(bot: SlackBot, notifications: list[Notification], most_attempts: int = 50) -> list[Attempt]:
    """Each until it has its outcome; the last attempt of each."""
    last: list[Attempt] = []
    for one in notifications:
        for _ in range(most_attempts):
            attempt = await bot.send(one)
            if attempt.outcome != "retry":
                break
        last.append(attempt)
    return last


def header(api: SlackApi) -> str:
    (message,) = api.in_channel()
    return str(message["blocks"][0]["text"]["text"])


def buttons_of(api: SlackApi) -> list[tuple[str, str, str]]:
    (message,) = api.in_channel()
    elements = [element for block in message["blocks"] if block["type"] == "actions" for element in block["elements"]]
    return [(element["action_id"], element["text"]["text"], element["value"]) for element in elements]


async def test_one_message_shows_how_an_incident_stands_and_its_thread_how_it_came_to_that() -> None:
    """Posted once with its metadata, edited at each change, one reply per change; buttons while there is something to do."""
    fires, acked, resolved = story(escalation_events())
    async with workspace() as (api, session):
        bot = a_bot(session, api)
        (posted,) = await told(bot, [fires])
        (message,) = api.in_channel()
        assert posted == Attempt("delivered", 200, message_ref=f"{CHANNEL}/{message['ts']}")
        assert message["metadata"]["event_type"] == "nutricoach_incident"
        assert message["metadata"]["event_payload"]["incident_key"] == key()
        assert header(api) == "CRITICAL: Menu Generation Critical fires"
        assert buttons_of(api) == [("ack", "Acknowledge", key()), ("snooze", "Snooze 1 h", key())]
        await told(bot, [acked])
        assert header(api) == "CRITICAL: Menu Generation Critical is acknowledged"
        assert buttons_of(api) == [("unack", "Unacknowledge", key()), ("snooze", "Snooze 1 h", key())]
        await told(bot, [resolved])
        assert header(api) == "CRITICAL: Menu Generation Critical is resolved"
        assert buttons_of(api) == []
        replies = [reply["text"] for reply in api.in_thread(message["ts"])]
        assert [reply.split("* ")[1].split(":")[0] for reply in replies] == [
            "the incident fires",
            "acknowledged by alice",
            "the incident is over",
        ]


async def test_the_vendors_own_models_take_messages_buttons_and_metadata() -> None:
    """slack_sdk parses and validates every block, also of the longest and worst texts, and of a hundred incidents."""
    worst = notification(summary=HOSTILE, reason=HOSTILE, sql=HOSTILE, runbook=HOSTILE, condition=HOSTILE, context=CONTEXT, owner=HOSTILE)
    hostile_group = of_a_group(100)
    members = tuple(a_member(f"web-{n}", summary=HOSTILE) for n in range(100))
    group = replace(hostile_group.group, group_key=key("another"), members=members, members_total=250)
    hostile_group = replace(hostile_group, group=group, delivery_id="e" * 64)
    async with workspace() as (api, session):
        outcomes = await told(a_bot(session, api), [worst, of_a_group(2), hostile_group])
        assert [attempt.outcome for attempt in outcomes] == ["delivered"] * 3
        for message in api.in_channel():
            for block in Block.parse_all(message["blocks"]):
                block.validate_json()
            Metadata(**message["metadata"]).validate_json()
            assert len(message["blocks"]) <= 50
        everything = json.dumps(list(api.messages.values()))
    assert "<!" not in everything
    assert "and 150 more" in everything


async def test_fifty_incidents_are_one_message_that_lists_them() -> None:
    """Within Slack's limits, which the workspace checks."""
    async with workspace() as (api, session):
        await told(a_bot(session, api), [of_a_group(50)])
        text = json.dumps(api.in_channel())
        assert all(f"host=web-{number}:" in text for number in range(50))
        assert header(api) == "HIGH: Menu Generation Critical (50 incidents) fires"


async def test_thirty_changes_under_a_slack_that_refuses_half_the_calls_are_one_message_and_thirty_replies() -> None:
    """HTTP 429 at random: nothing is lost, nothing is there twice, and the message shows the last change."""
    changes = [an_event("opened"), an_event("step_due", target="slack-critical", step=0)]
    for number in range(14):
        changes += [an_event("acked", number=number, at_s=60 + 40 * number), an_event("unacked", number=number, at_s=80 + 40 * number)]
    changes.append(an_event("resolved", at_s=650))
    notifications = story(changes)
    assert len(notifications) == 30
    async with workspace() as (api, session):
        chance = random.Random(6)
        api.misbehave(*(Fault(status=429, retry_after_s=1) if chance.random() < 0.5 else None for _ in range(1000)))
        outcomes = await told(a_bot(session, api), notifications)
        assert {attempt.outcome for attempt in outcomes} == {"delivered"}
        (message,) = api.in_channel()
        payloads = [reply["metadata"]["event_payload"]["delivery_id"] for reply in api.in_thread(message["ts"])]
        assert payloads == [one.delivery_id for one in notifications]
        assert header(api).endswith("is resolved")
        refused = sum(call.answered == 429 for call in api.calls)
        assert 0.4 < refused / len(api.calls) < 0.6


@pytest.mark.parametrize("lost", ["message", "reply"])
async def test_a_notifier_that_died_between_posting_and_writing_it_down_posts_no_second_time(lost: str) -> None:
    """The next one finds message and reply by their metadata, on the second page of a busy channel too."""
    (fires, *_) = story(escalation_events())
    async with workspace() as (api, session):
        if lost == "message":
            api.misbehave(None, {"status": 500}, {"status": 500, "done": True})
        await told(a_bot(session, api), [fires], most_attempts=1)
        for number in range(210):
            api.messages[f"{2_000_000_000 + number}.000000"] = {"ts": f"{2_000_000_000 + number}.000000", "text": "chatter"}
        again = replace(fires, resent=True)
        (attempt,) = await told(a_bot(session, api), [again])
        posted = [message for message in api.in_channel() if message["text"] != "chatter"]
        assert len(posted) == 1
        assert len(api.in_thread(posted[0]["ts"])) == 1
        assert attempt.message_ref == f"{CHANNEL}/{posted[0]['ts']}"


async def test_a_message_is_found_among_hundreds_of_long_ones() -> None:
    """A page of history is megabytes then: two hundred groups of a hundred incidents each, posted after the one that is looked for."""
    long = of_a_group(100)
    (fires, *_) = story(escalation_events())
    async with workspace() as (api, session):
        await told(a_bot(session, api), [fires, long])
        (own, other) = api.in_channel()
        for number in range(199):
            ts = f"{2_000_000_000 + number}.000000"
            api.messages[ts] = other | {"ts": ts}
        (attempt,) = await told(a_bot(session, api), [replace(fires, resent=True)], most_attempts=1)
        assert (attempt.outcome, attempt.message_ref) == ("delivered", f"{CHANNEL}/{own['ts']}")


@pytest.mark.parametrize("fault", [Fault(status=500, done=True), Fault(reset=True, done=True), Fault(hang_s=30, done=True)])
@pytest.mark.parametrize("call", [0, 1, 2, 3])
async def test_an_answer_that_was_lost_leads_to_no_second_message(fault: Fault, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack obeyed, and the answer never came, at any of the four calls of an opening and an acknowledgement."""
    monkeypatch.setattr(http, "TOTAL_TIMEOUT_S", 0.1)
    fires, acked, _ = story(escalation_events())
    async with workspace() as (api, session):
        api.misbehave(*[None] * call, fault)
        assert {attempt.outcome for attempt in await told(a_bot(session, api), [fires, acked])} == {"delivered"}
        (message,) = api.in_channel()
        assert len(api.in_thread(message["ts"])) == 2


async def test_a_message_that_is_known_from_its_delivery_is_edited_without_looking_for_it() -> None:
    """After a restart the reference of deliveries.v1 is enough; of another channel it is none."""
    fires, acked, _ = story(escalation_events())
    async with workspace() as (api, session):
        (posted,) = await told(a_bot(session, api), [fires])
        await told(a_bot(session, api), [replace(acked, message_ref=posted.message_ref)])
        assert [call.method for call in api.calls] == ["chat.postMessage", "chat.postMessage", "chat.update", "chat.postMessage"]
        await told(a_bot(session, api), [replace(acked, message_ref="C9999999999/1.1", delivery_id="f" * 64)])
        assert len(api.in_channel()) == 1


async def test_a_message_that_somebody_deleted_is_posted_again_for_a_page_only() -> None:
    """Further pages need a message; an end without one is nothing to tell."""
    async with workspace() as (api, session):
        bot = a_bot(session, api)
        page = an_event("step_due", target="slack-critical", step=0)
        again = an_event("repeated", target="slack-critical", number=1)
        first, second, end = story([page, again, an_event("resolved", at_s=90)])
        await told(bot, [first])
        api.messages.clear()
        await told(bot, [second])
        (message,) = api.in_channel()
        assert [reply["reply_broadcast"] for reply in api.in_thread(message["ts"])] == [True]
        api.messages.clear()
        (attempt,) = await told(bot, [end])
        assert (attempt.outcome, attempt.reason) == ("delivered", "the channel has no message about it")
        assert api.messages == {}


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        (Fault(error="channel_not_found"), "rejected", "the receiver refuses: chat.postMessage: channel_not_found"),
        (Fault(error="not_in_channel"), "rejected", "the receiver refuses: chat.postMessage: not_in_channel"),
        (Fault(error="internal_error"), "retry", "chat.postMessage: internal_error"),
        (Fault(error="ratelimited"), "retry", "chat.postMessage: ratelimited"),
        (Fault(status=429, retry_after_s=7), "retry", "the receiver asks to wait 7 s"),
        (Fault(status=503), "retry", "the receiver answers 503"),
    ],
)
async def test_slack_is_obeyed_when_it_does_not_say_ok(fault: Fault, outcome: str, reason: str) -> None:
    """Errors are HTTP 200 with ok: false; what may pass is tried again, the rest is refused for good."""
    async with workspace() as (api, session):
        api.misbehave(fault)
        attempt = await a_bot(session, api).send(notification())
        assert (attempt.outcome, attempt.reason, attempt.retry_after_s) == (outcome, reason, fault.get("retry_after_s", 0))
        assert attempt.busy == (fault.get("status") == 429 or fault.get("error") == "ratelimited")
        assert api.messages == {}


async def test_two_receivers_in_one_channel_have_a_message_each() -> None:
    """Looked for by receiver, not only by incident."""
    async with workspace() as (api, session):
        await told(a_bot(session, api), [notification(receiver="slack-critical")])
        await told(a_bot(session, api), [replace(notification(receiver="dev-team"), resent=True)])
        assert len(api.in_channel()) == 2


async def test_neither_token_nor_channel_content_comes_into_logs_or_reasons(caplog: pytest.LogCaptureFixture) -> None:
    """Refused, reset, unreachable, or answered with nonsense: the token is nowhere."""
    caplog.set_level(logging.DEBUG)
    async with workspace() as (api, session):
        api.misbehave({"reset": True}, {"status": 403}, {"error": "invalid_auth"})
        attempts = await told(a_bot(session, api), [notification()] * 3, most_attempts=1)
        attempts += await told(a_bot(session, api, token="xoxb-wr0ng"), [notification()])
    async with aiohttp.ClientSession() as session:
        attempts.append(
            await SlackBot(session, SecretStr("http://127.0.0.1:1/api"), SecretStr(TOKEN), CHANNEL, always).send(notification())
        )
    everything = repr(attempts) + caplog.text
    assert TOKEN not in everything
    assert "xoxb" not in everything
    assert [attempt.outcome for attempt in attempts] == ["retry", "rejected", "rejected", "rejected", "retry"]


async def test_the_message_tells_what_failing_events_have_in_common() -> None:
    """Error classes, suspects and traces, worst first."""
    async with workspace() as (api, session):
        await told(a_bot(session, api), [notification(context=CONTEXT)])
        text = json.dumps(api.in_channel())
    for part in (
        "provider_timeout (390), unnamed (10)",
        "Suspect release: 1.4.2, 400 of 1200 fail, 7.5 times the rest",
        "0af7651916cd43dd",
    ):
        assert part in text


async def test_a_group_keeps_its_message_while_incidents_join_and_leave() -> None:
    """The lead ends, another joins, an update says so: the same message lists who is open."""
    plan = Plan()
    members = (a_member("a"), a_member("b"))
    later = (a_member("b"), a_member("c"), a_member("a", "resolved"))
    events = [
        *(an_event("opened", name, group="a") for name in ("a", "b")),
        an_event("step_due", "a", target="slack-critical", step=0, group="a", members=members),
        an_event("opened", "c", group="a", at_s=70),
        an_event("resolved", "a", group="a", notify=False, at_s=80),
        an_event("updated", "b", group="a", members=later, at_s=110),
    ]
    notifications = [due.notification for event in events for due in plan.read(event)]
    async with workspace() as (api, session):
        await told(a_bot(session, api), notifications)
        assert header(api) == "HIGH: Menu Generation Critical (3 incidents) fires"
        text = json.dumps(api.in_channel(), ensure_ascii=False)
        assert "high resolved: host=a" in text
        assert {value for _, _, value in buttons_of(api)} == {key("a")}


@pytest.mark.parametrize("calls", range(4))
async def test_a_bot_that_slept_between_two_calls_makes_no_other_when_it_wakes(calls: int) -> None:
    """Another notifier has its place after so many of its calls: looking for the message, its edit and the reply are what would follow."""
    asked = 0

    async def until_it_slept() -> None:
        nonlocal asked
        asked += 1
        if asked > calls:
            raise RetryAfter("another notifier has the partition now")

    (fires, acked, _) = story(escalation_events())
    async with workspace() as (api, session):
        await told(a_bot(session, api), [fires])
        before = len(api.calls)
        bot = SlackBot(session, SecretStr(api.url), SecretStr(TOKEN), CHANNEL, until_it_slept)
        with pytest.raises(RetryAfter):
            await bot.send(replace(acked, resent=True))
        assert len(api.calls) == before + calls
        assert len(api.messages) == 2
