from __future__ import annotations

import json
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.runtime.topic_tail import pages_to_end
from pipeline.runtime.unreadable import ERROR_CODE
from schemas.dead_letter import read_dead_letter
from schemas.topics import ALERTS, COMMANDS, DECISIONS, DLQ, ESCALATIONS, PANES
from tests.integration.alerting.own_config import MENUS, write_config
from tests.integration.alerting.paging import acknowledge, events, slow_outage, steps, there_are
from tests.integration.alerting.roles import environment, eventually, read_topic, role, traffic, until

TOPICS = (PANES.name, COMMANDS.name, ALERTS.name, ESCALATIONS.name, DECISIONS.name)
NO_SUCH_PARTITION = b'{"source_partition":99,"last_offset":1,"watermark":"2026-11-23T10:00:00Z","caught_up_at":null,"panes":[]}'
GARBAGE = (
    b"",
    b"[]",
    b'{"panes":3}',
    b'{"panes":{"a":1}}',
    b"\xff",
    b'{"action":"ack"}',
    b"null",
    b'{"kind":"reading"}',
    NO_SUCH_PARTITION,
)


async def litter(bootstrap_servers: str) -> None:
    """What nobody can read, on every topic an alerter reads or writes."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        for topic in TOPICS:
            for value in GARBAGE:
                await producer.send_and_wait(topic, value, b"k")
            await producer.send_and_wait(topic, None, b"k")
    finally:
        await producer.stop()


async def letters(bootstrap_servers: str) -> Counter[tuple[str, str]]:
    """How many dead letters there are, by topic and code."""
    found: Counter[tuple[str, str]] = Counter()
    async with aclosing(pages_to_end(bootstrap_servers, DLQ.name)) as pages:
        async for page in pages:
            for record in page.records:
                letter = read_dead_letter(record.headers, record.key, record.value)
                found[letter.kafka_topic, letter.error_code] += 1
    return found


async def own_alerts(bootstrap_servers: str) -> list[str]:
    """States of the rule's alerts, in order; garbage left out."""
    tp_states = []
    async with aclosing(pages_to_end(bootstrap_servers, ALERTS.name)) as pages:
        async for page in pages:
            values = [record.value for record in page.records if record.value and record.value not in GARBAGE]
            tp_states += [alert["state"] for alert in map(json.loads, values) if alert["rule"] == MENUS]
    return tp_states


async def test_what_cannot_be_read_is_a_dead_letter_and_stops_nothing(broker: str, tmp_path: Path) -> None:
    """Garbage on every topic, before the alerter starts, before an incident and before its acknowledgement: it fires, pages, obeys."""
    await litter(broker)
    env = environment(broker, config=write_config(tmp_path / "config", last_step="60s"))
    async with traffic(broker) as load:
        with role("alerter", env, tmp_path) as alerter:
            await until(lambda: any(line["event"] == "acts" for line in alerter.lines()), "it acts")
            await litter(broker)
            await slow_outage(load)
            await until(lambda: sum(line["event"] == "alert" for line in alerter.lines()) >= 2, "both rules fire")
            await litter(broker)
            opened = next(line for line in alerter.lines() if line["event"] == "alert" and line["rule"] == MENUS)
            await acknowledge(broker, opened["incident_key"])
            await until(lambda: any(line.get("state") == "acknowledged" for line in alerter.lines()), "the command is obeyed")

            async def all_are_letters() -> bool:
                found = await letters(broker)
                return all(found[topic, ERROR_CODE] >= 3 * (len(GARBAGE) + 1) for topic in (PANES.name, COMMANDS.name))

            await eventually(all_are_letters, 15, "a dead letter of each")
            assert alerter.stop() == 0
            assert not [line for line in alerter.lines() if "state is read again" in line["event"]]
    assert set(await own_alerts(broker)) == {"firing", "acknowledged"}
    assert set((await letters(broker)).values()) == {3 * (len(GARBAGE) + 1)}


@pytest.mark.long
async def test_what_another_alerter_has_said_is_read_before_anything_more_is_said(broker: str, tmp_path: Path) -> None:
    """An acknowledgement by another process that believes it acts stands on `escalations.v1`: this one reads it before its next step."""
    env = environment(broker, config=write_config(tmp_path / "config", last_step="8s"))
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    async with traffic(broker) as load:
        with role("alerter", env, tmp_path) as alerter:
            await until(lambda: any(line["event"] == "acts" for line in alerter.lines()), "it acts")
            await slow_outage(load)
            await eventually(there_are(3, broker, MENUS), 6, "slack-critical and dev-team are paged")
            of_rule = await events(broker, MENUS)
            acked = of_rule[-1] | {
                "escalation_id": "ab" * 32, "event": "acked", "step": None, "target": None, "due_at": None,
                "actor": "bob", "command_id": "of another", "plan": [], "reason": "acknowledged by bob",
            }  # fmt: skip
            await producer.send_and_wait(ESCALATIONS.name, json.dumps(acked).encode(), acked["incident_key"].encode())
            await until(lambda: any("state is read again" in line["event"] for line in alerter.lines()), "it has read it", 20)
            await until(lambda: sum(line["event"] == "acts" for line in alerter.lines()) == 2, "it acts again")
            assert alerter.stop() == 0
    await producer.stop()
    assert steps(await events(broker, MENUS)) == [
        ("opened", None),
        ("step_due", "slack-critical"),
        ("step_due", "dev-team"),
        ("acked", None),
    ]
    states = [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS]
    assert states == ["firing", "acknowledged"]
