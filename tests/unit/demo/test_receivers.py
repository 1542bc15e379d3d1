from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.notify.pagerduty import PagerDutyReceiver
from alerting.notify.receiver import Notification
from alerting.notify.slack import SlackReceiver
from pipeline.demo.receivers import Notice, StandIns, read_notice
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import unread_names
from schemas.delivery import DeliveryAction
from schemas.escalation import parse_escalation
from tests.contract.notify.incidents import told_of
from tests.unit.demo.examples import EXAMPLES

FILES: dict[DeliveryAction, str] = {"trigger": "step-due", "acknowledge": "acked", "resolve": "resolved"}


def notification(action: DeliveryAction) -> Notification:
    event = parse_escalation((EXAMPLES / "escalation" / "valid" / f"{FILES[action]}.json").read_bytes())
    return told_of(event, action, "slack-critical")


@pytest.fixture
async def stand_ins() -> AsyncIterator[tuple[StandIns, list[Notice]]]:
    notices: list[Notice] = []
    with closing(StandIns({"slack-critical": "slack", "pagerduty": "pagerduty"}, SystemClock())) as receivers:
        receivers.on_notice = notices.append
        async with receivers.serving():
            yield receivers, notices


@pytest.mark.parametrize("action", FILES)
async def test_they_take_what_the_notifier_sends(stand_ins: tuple[StandIns, list[Notice]], action: DeliveryAction) -> None:
    """The notifier's own Slack message and PagerDuty event are delivered, and what they ask for is recognised."""
    receivers, notices = stand_ins
    environment = receivers.environment
    url, key = (SecretStr(environment[f"TELEMETRY_RECEIVERS__PAGERDUTY__{name}"]) for name in ("URL", "ROUTING_KEY"))
    async with aiohttp.ClientSession() as session:
        slack = SlackReceiver(session, SecretStr(environment["TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL"]))
        attempts = [await slack.send(notification(action)), await PagerDutyReceiver(session, url, key).send(notification(action))]
    assert [attempt.outcome for attempt in attempts] == ["delivered", "delivered"]
    assert [(notice.receiver, notice.action) for notice in notices] == [("slack-critical", action), ("pagerduty", action)]
    alert = notification(action).event.alert
    assert all(notice.concerns(alert.rule, alert.incident_key) for notice in notices)
    assert not any(notice.concerns("another rule", "0" * 64) for notice in notices)


def test_a_page_reads_as_a_person_sees_it() -> None:
    """Without Slack's marks and escapes, one field a line; an asterisk of the SQL stays."""
    blocks = (
        '{"type":"header","text":{"type":"plain_text","text":"CRITICAL: Menus fires"}},'
        '{"type":"section","text":{"type":"mrkdwn","text":"*a &amp;&lt; b*\\nthe incident fires"}},'
        '{"type":"section","fields":[{"type":"mrkdwn","text":"*Window*\\n10:00 to 10:01"}]},'
        '{"type":"section","text":{"type":"mrkdwn","text":"```SELECT a * b, c * d```"}}'
    )
    notice = read_notice("slack-critical", "slack", 0, f'{{"text":"CRITICAL","blocks":[{blocks}]}}')
    assert notice.lines == ("CRITICAL: Menus fires", "a &< b", "the incident fires", "Window: 10:00 to 10:01", "SELECT a * b, c * d")


@pytest.mark.parametrize(
    "path_and_body",
    [
        ("slack/slack-critical", "not json"),
        ("slack/slack-critical", '{"text":"hello"}'),
        ("pagerduty/pagerduty", '{"event_action":"snooze"}'),
    ],
)
async def test_they_refuse_what_the_real_ones_would(stand_ins: tuple[StandIns, list[Notice]], path_and_body: tuple[str, str]) -> None:
    """A notification that nobody could read is no notification."""
    receivers, notices = stand_ins
    path, body = path_and_body
    async with aiohttp.ClientSession() as session, session.post(f"{receivers.url}/{path}", data=body) as response:
        assert response.status == 400
    assert notices == []


async def test_they_do_not_answer_for_anybody_else(stand_ins: tuple[StandIns, list[Notice]]) -> None:
    """An unknown receiver, or a known one of another kind, is not found."""
    receivers, _ = stand_ins
    async with aiohttp.ClientSession() as session:
        for path in ("slack/ceo", "pagerduty/slack-critical"):
            async with session.post(f"{receivers.url}/{path}", data="{}") as response:
                assert response.status == 404


def test_their_settings_are_settings() -> None:
    """Each name is one that the notifier reads; PagerDuty's key is as long as a real one."""
    with closing(StandIns({"slack-critical": "slack", "pagerduty": "pagerduty"}, SystemClock())) as receivers:
        environment = receivers.environment
    assert not unread_names(environment)
    assert len(environment["TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY"]) == 32
