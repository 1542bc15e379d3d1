from __future__ import annotations

import json
import logging

import aiohttp
import pytest
from pydantic import SecretStr
from slack_sdk.models.blocks import Block

from alerting.notify.slack import SlackReceiver, slack_message
from alerting.notify.slack_blocks import cut, escape
from schemas.delivery import DeliveryAction
from tests.contract.notify.incidents import notification
from tests.receivers.slack import slack, violations

HOSTILE = "<!channel> & <https://evil.example|click> `\r\n\x1b[31m ```" + "y" * 5000


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
async def test_slack_accepts_every_kind_of_message(action: DeliveryAction) -> None:
    """Each message meets the webhook's format, as the receiver checks it."""
    async with slack() as receiver, aiohttp.ClientSession() as session:
        attempt = await SlackReceiver(session, SecretStr(receiver.url + "/services/T/B/x")).send(notification(action))
    assert (attempt.outcome, attempt.http_status) == ("delivered", 200)
    assert receiver.received[0].violations == []


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
@pytest.mark.parametrize("text", ["ok", HOSTILE], ids=["usual", "hostile"])
def test_the_vendors_own_validators_accept_the_blocks(action: DeliveryAction, text: str) -> None:
    """slack_sdk parses and validates every block, also with the longest and worst texts."""
    message = slack_message(notification(action, summary=text, reason=text, sql=text, runbook=text, condition=text))
    for block in Block.parse_all(message["blocks"]):
        block.validate_json()
    assert len(message["blocks"]) >= 2


def test_the_message_explains_itself() -> None:
    """Rule, value against threshold, numbers, window, watermark, since, why now, SQL, how to acknowledge, runbook: all there."""
    wanted = notification()
    alert = wanted.event.alert
    text = json.dumps(slack_message(wanted), ensure_ascii=False)
    for part in (
        "CRITICAL: Menu Generation Critical fires",
        "7.692 %, threshold 5 %",
        "400 / 5200",
        "2026-11-23T10:00:00.000Z to 2026-11-23T10:01:00.000Z, judged to 2026-11-23T10:00:51.000Z",
        "2026-11-23T10:00:47.900Z",
        "all 12 partitions are in",
        "the incident fires",
        "menu-team",
        escape(alert.sql),
        f"telemetry alerts ack {alert.incident_key[:12]} --by NAME",
        "alerting/config/runbooks/menu-generation.md",
    ):
        assert part in text, part


def test_text_of_others_cannot_call_anybody() -> None:
    """Mentions, links and control characters come out as the text they are."""
    message = slack_message(notification(summary=HOSTILE, reason=HOSTILE, runbook=HOSTILE, condition=HOSTILE, sql=HOSTILE))
    assert violations("application/json", message) == []
    everything = json.dumps(message)
    assert "<!" not in everything
    assert "\\u001b" not in everything
    assert "&lt;!channel&gt; &amp;" in everything


def test_the_receiver_knows_a_mention_when_it_sees_one() -> None:
    """The check the tests lean on is not blind."""
    assert violations("application/json", {"text": "hello <!channel>"}) == ["text: not escaped: <!channel>"]
    assert violations("application/json", {"text": "ok", "blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]})
    assert violations("text/plain", {"text": "ok"})
    assert violations("application/json", {"blocks": []})


def test_a_cut_never_splits_an_escape() -> None:
    """What is too long ends in an ellipsis, within the limit, and not inside &amp;."""
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 4) == "abc…"
    assert cut("ab&amp;cdef", 6) == "ab…"
    assert cut("ab&amp;cdef", 8) == "ab&amp;…"


def test_a_repeat_says_that_it_is_one() -> None:
    """Slack cannot tell repeats; people can."""
    assert "Sent again" in json.dumps(slack_message(notification(resent=True)))
    assert "Sent again" not in json.dumps(slack_message(notification()))


async def test_the_address_is_nowhere_in_what_is_logged_or_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """Neither success, refusal, a dead port nor a broken address brings the secret out."""
    caplog.set_level(logging.DEBUG)
    async with slack() as receiver, aiohttp.ClientSession() as session:
        receiver.misbehave({"status": 404}, {"reset": True})
        attempts = [await SlackReceiver(session, SecretStr(receiver.url + "/services/s3cret")).send(notification()) for _ in range(3)]
        for address in ("http://127.0.0.1:1/services/s3cret", "not a url s3cret"):
            attempts.append(await SlackReceiver(session, SecretStr(address)).send(notification()))
    assert [attempt.outcome for attempt in attempts] == ["rejected", "retry", "delivered", "retry", "rejected"]
    assert "s3cret" not in "".join(attempt.reason for attempt in attempts) + caplog.text


async def test_redirects_are_not_followed() -> None:
    """A redirect is a refusal: the message goes to the address that was configured or nowhere."""
    async with slack() as receiver, aiohttp.ClientSession() as session:
        receiver.misbehave({"status": 302})
        attempt = await SlackReceiver(session, SecretStr(receiver.url)).send(notification())
    assert (attempt.outcome, attempt.http_status, len(receiver.received)) == ("rejected", 302, 1)
