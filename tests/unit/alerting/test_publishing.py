from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import process_time

import pytest

from alerting.config.load import load_config
from alerting.context import ContextFinder
from alerting.engine.engine import Engine, Output
from alerting.engine.rule import Rule
from alerting.fence import Fence
from alerting.publishing import Publisher
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.producer import Message
from pipeline.runtime.settings import ClickHouse
from pipeline.runtime.unreadable import Unreadable
from schemas.alert import Alert, Context, parse_alert
from schemas.escalation import Escalation, parse_escalation
from schemas.topics import ALERTS, ESCALATIONS
from tests.unit.alerting.desk import Desk, incident

INCIDENTS = 1_000


class Kafka:
    """In place of a fence: takes what is published."""

    def __init__(self) -> None:
        self.taken: list[Sequence[Message]] = []

    async def check(self) -> None:
        """Nobody else has written."""

    async def publish(self, _producer: object, messages: Sequence[Message]) -> None:
        self.taken.append(messages)

    def values(self, topic: str) -> list[bytes]:
        return [message.value or b"" for messages in self.taken for message in messages if message.topic == topic]


class Finder(ContextFinder):
    """Knows a trace of every incident: its key."""

    async def find(self, rules: Mapping[str, Rule], alerts: list[Alert]) -> dict[str, Context]:
        return {alert.incident_key: Context(trace_ids=(alert.incident_key,)) for alert in alerts}


def everything_fires() -> tuple[Engine, list[Output]]:
    """An engine, and what it says when so many incidents begin and somebody is paged."""
    config = load_config()
    desk, alerts = Desk(), [incident(f"i{number}") for number in range(INCIDENTS)]
    events: list[Escalation] = [event for alert in alerts for event in desk.alert(0, alert)]
    return Engine(config.rules, config.policy, config.routing), [*alerts, *events, *desk.tick(30)]


async def test_thousands_of_incidents_that_fire_at_once_do_not_hold_up_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alert and each of its escalations carries its own context, alerts come first; a few hundred are made and sent at a time."""
    kafka, clock = Kafka(), SystemClock()
    finder = Finder(ClickHouse(), clock)
    publisher = Publisher("nowhere:1", load_config().rules, Fence("nowhere:1", {}, clock, Unreadable(clock)), finder, Unreadable(clock))
    monkeypatch.setattr(publisher, "_fence", kafka)
    monkeypatch.setattr(publisher, "_producer", object())
    engine, outputs = everything_fires()
    began = process_time()
    await publisher.publish(engine, outputs)
    assert process_time() - began < 1.0
    await finder.close()
    alerts = [parse_alert(value) for value in kafka.values(ALERTS.name)]
    events = [parse_escalation(value) for value in kafka.values(ESCALATIONS.name)]
    assert (len(alerts), len(events)) == (INCIDENTS, len(outputs) - INCIDENTS)
    for alert in [*alerts, *(event.alert for event in events)]:
        assert alert.context is not None
        assert alert.context.trace_ids == (alert.incident_key,)
    topics = [message.topic for messages in kafka.taken for message in messages]
    assert topics == sorted(topics)  # alerts before escalations
    assert max(len(messages) for messages in kafka.taken) <= 500
