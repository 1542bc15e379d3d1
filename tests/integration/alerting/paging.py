"""Who is paged, as `escalations.v1` says it, and what makes somebody be."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.command import Ack
from schemas.timestamps import from_ms
from schemas.topics import COMMANDS
from tests.integration.alerting.roles import Traffic, read_topic


async def events(broker: str, rule: str) -> list[dict[str, Any]]:
    """Those of one rule."""
    return [event for event in await read_topic(broker, "escalations.v1") if event["rule"] == rule]


def steps(of_rule: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    """Event and target of each, in order."""
    return [(event["event"], event["target"]) for event in of_rule]


async def acknowledge(broker: str, incident_key: str) -> None:
    """As somebody does from anywhere: a command on the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        command = Ack(command_id="c-1", at=from_ms(time.time_ns() // 1_000_000), by="alice", incident_key=incident_key)
        await producer.send_and_wait(COMMANDS.name, command.model_dump_json().encode(), incident_key.encode())
    finally:
        await producer.stop()


async def slow_outage(load: Traffic) -> None:
    """A good minute, then ten seconds in which menus fail, each after a long time: both rules fire."""
    for start in range(0, 50, 10):
        await load.pane(start)
    await load.pane(50, good=0, failed=40, failed_ms=200_000)


def there_are(count: int, broker: str, rule: str) -> Callable[[], Awaitable[bool]]:
    """A condition: the rule has so many events."""

    async def look() -> bool:
        return len(await events(broker, rule)) >= count

    return look
