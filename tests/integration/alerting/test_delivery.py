from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import BaseModel

from alerting.engine.identity import digest
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.timestamps import from_ms
from schemas.topics import DECISIONS, ESCALATIONS
from tests.contract.notify.incidents import BASE_MS, an_event, key
from tests.freezing import freeze
from tests.integration.alerting.roles import ROUTING_KEY, Role, read_topic, role, the_active, until
from tests.receivers.pagerduty import pagerduty
from tests.receivers.server import Misbehaviour, Receiver
from tests.receivers.slack_api import CHANNEL, TOKEN, SlackApi, slack_api
from tests.receivers.smtp import PASSWORD, MailServer, mail_server
from tests.receivers.ticket import service

OFFSET_MS = time.time_ns() // 1_000_000 - BASE_MS


@dataclass
class World:
    """A broker, and everybody who can be told."""

    broker: str
    producer: AIOKafkaProducer
    slack: SlackApi
    pager: Receiver
    mail: MailServer
    watchdog: Receiver

    @property
    def environment(self) -> dict[str, str]:
        settings = {
            "SLACK_CRITICAL__URL": self.slack.url,
            "SLACK_CRITICAL__TOKEN": TOKEN,
            "SLACK_CRITICAL__CHANNEL": CHANNEL,
            "PAGERDUTY__URL": self.pager.url + "/v2/enqueue",
            "PAGERDUTY__ROUTING_KEY": ROUTING_KEY,
            "EMAIL_TEAM__URL": self.mail.url,
            "EMAIL_TEAM__SENDER": "telemetry@nutricoach.example",
            "EMAIL_TEAM__RECIPIENTS": "a@nutricoach.example,b@nutricoach.example",
            "WATCHDOG__URL": self.watchdog.url + "/ping/s3cret-of-watchdog",
        }
        receivers = {f"TELEMETRY_RECEIVERS__{name}": value for name, value in settings.items()}
        return {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.broker, **receivers}

    async def escalate(self, *events: Escalation) -> None:
        """As the alerter would, by now."""
        for event in events:
            now = event.model_copy(update={"at": from_ms(round(event.at.timestamp() * 1000) + OFFSET_MS)})
            await self.send(ESCALATIONS.name, event.incident_key, now)

    async def send(self, topic: str, record_key: str, value: BaseModel) -> None:
        await self.producer.send_and_wait(topic, value.model_dump_json().encode(), record_key.encode())

    async def outcomes(self, receiver: str) -> list[tuple[str, str]]:
        return [(d["action"], d["outcome"]) for d in await read_topic(self.broker, "deliveries.v1") if d["receiver"] == receiver]


@asynccontextmanager
async def world(broker: str) -> AsyncIterator[World]:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        async with slack_api() as slack, pagerduty() as pager, mail_server() as mail, service() as watchdog:
            yield World(broker, producer, slack, pager, mail, watchdog)
    finally:
        await producer.stop()


def heartbeat(at_ms: int) -> Decision:
    nothing: dict[str, Any] = dict.fromkeys(("previous", "incident_key", "window_from", "window_to", "judged_to"))
    return Decision(
        decision_id=digest("watchdog", at_ms),
        rule="watchdog",
        kind="heartbeat",
        at=from_ms(at_ms),
        verdict="false",
        reason="",
        terms=(),
        gates=(),
        **nothing,
    )


def says(running: Role, text: str) -> bool:
    return any(text in str(line["event"]) for line in running.lines())


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.filterwarnings("ignore:Session.login_data is deprecated:DeprecationWarning")
@pytest.mark.long
async def test_every_receiver_is_told_once_though_the_notifier_is_killed_between_posting_and_recording(broker: str, tmp_path: Path) -> None:
    """Slack posts and never answers, SIGKILL: the next notifier finds the message. PagerDuty does not wait for Slack, mail stands in for a
    team whose address is gone, heartbeats reach the watchdog, what cannot be read stops nothing, and no secret is in any line."""
    async with world(broker) as at:
        env = {**at.environment, "TELEMETRY_RECEIVERS__SLACK_PRODUCT__URL": at.pager.url + "/refuses/s3cret-of-product"}
        with role("notifier", env, tmp_path) as first:
            await until(first.active, "the first is active")
            at.slack.misbehave({"hang_s": 60, "done": True}, method="chat.postMessage")
            await at.producer.send_and_wait(ESCALATIONS.name, b"no escalation", b"k")
            await at.escalate(*(an_event("opened", name) for name in ("menus", "ratings")))
            await at.escalate(*(an_event("step_due", target=name, step=0) for name in ("slack-critical", "pagerduty")))
            await at.escalate(an_event("step_due", "ratings", target="slack-product", step=0))
            await until(lambda: at.slack.messages, "the message is posted")
            await at.pager.wait_for(1)
            await until(lambda: at.mail.received, "mail stands in")
            await until(lambda: says(first, "notification delivered"), "it is written down")
            first.kill()
        with role("notifier", env, tmp_path) as second:
            await until(second.active, "the second is active")
            await at.escalate(an_event("resolved", at_s=60), an_event("resolved", "ratings", at_s=60))
            await until(lambda: any("is resolved" in one["text"] for one in at.slack.in_channel()), "Slack shows the end")
            await at.pager.wait_for(2)
            await until(lambda: len(at.mail.received) == 2, "mail tells the end")
            await at.send(DECISIONS.name, "watchdog", heartbeat(time.time_ns() // 1_000_000))
            await at.watchdog.wait_for(1)
            assert second.stop() == 0
        (message,) = at.slack.in_channel()
        assert len(at.slack.in_thread(message["ts"])) == 2
        assert at.slack.violations() == []
        assert [(body["event_action"], body["dedup_key"]) for body in at.pager.accepted()] == [("trigger", key()), ("resolve", key())]
        assert ["fires" in mail["Subject"] for mail in at.mail.received] == [True, False]
        deliveries = await read_topic(broker, "deliveries.v1")
        assert Counter(await at.outcomes("slack-product")) == {
            ("trigger", "intended"): 1,
            ("trigger", "failed_over"): 1,
            **_ended("rejected"),
        }
        assert {d["failover"] for d in deliveries if d["receiver"] == "email-team"} == {"slack-product"}
        refs = {d["message_ref"] for d in deliveries if d["receiver"] == "slack-critical" and d["outcome"] == "delivered"}
        assert refs == {f"{CHANNEL}/{message['ts']}"}
        assert says(first, "record cannot be read, it is skipped")
        text = first.log.read_text() + second.log.read_text()
        assert [secret for secret in (TOKEN, ROUTING_KEY, PASSWORD, "s3cret") if secret in text + repr(deliveries)] == []


def _ended(outcome: str) -> dict[tuple[str, str], int]:
    return {("resolve", "intended"): 1, ("resolve", outcome): 1}


@pytest.mark.long
async def test_a_notifier_that_slept_through_its_replacement_sends_nothing_when_it_wakes(broker: str, tmp_path: Path) -> None:
    """PagerDuty asks for patience, SIGSTOP; another one takes over and delivers; SIGCONT: the sleeper has a page to send, and does not."""
    async with world(broker) as at:
        with ExitStack() as processes:
            pair = [processes.enter_context(role("notifier", at.environment, tmp_path)) for _ in range(2)]
            await until(lambda: all(one.ready() for one in pair), "both are ready")
            sleeper = await the_active(pair)
            other = next(one for one in pair if one is not sleeper)
            at.pager.misbehave(*(Misbehaviour(status=429, retry_after_s=2) for _ in range(1)))
            await at.escalate(an_event("opened"), an_event("step_due", target="pagerduty", step=0))
            await until(lambda: at.pager.received, "it was asked to wait")
            await until(lambda: says(sleeper, "notification retrying"), "and wrote that down")
            freeze(sleeper.process.pid)
            await until(other.active, "the other one has taken over", 60)
            await at.pager.wait_for(1, 30)
            received = len(at.pager.received)
            sleeper.signal(signal.SIGCONT)
            await until(lambda: not sleeper.active(), "it has noticed")
            await asyncio.to_thread(other.stop)
            assert len(at.pager.received) == received == 2
        assert Counter(await at.outcomes("pagerduty")) == {
            ("trigger", "intended"): 1,
            ("trigger", "retrying"): 1,
            ("trigger", "delivered"): 1,
        }
