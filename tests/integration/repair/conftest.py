"""A stack on which time stands still until a test says so: every event of the first phase is ten hours old, and no hour has closed."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.partitioning import EVENT_PARTITIONS, partition_of
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import EVENTS, Role, Stack, menu, ready
from tests.waiting import wait_until

HOUR_MS = 3_600_000
"""Every test's events lie in this hour, ten hours ago."""


@dataclass
class Past:
    """The stack, its first worker, and the start of the hour that everything happens in."""

    stack: Stack
    worker: Role
    hour_ms: int

    def stored(self, provider: str) -> int:
        """Menus of a provider in `events`."""
        count: int = self.stack.one(
            f"SELECT count() FROM events WHERE event_type = 'menu_generated' AND JSONExtractString(properties, 'provider') = '{provider}'"
        )
        return count

    async def send(
        self, events: Iterable[dict[str, Any]], key: str, partition: int, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        """Events with any key to any partition."""
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.kafka, acks="all", linger_ms=20, max_batch_size=1 << 19)
        await producer.start()
        try:
            for event in events:
                await producer.send(EVENTS, json.dumps(event).encode(), key=key.encode(), partition=partition, headers=headers or [])
            await producer.flush()
        finally:
            await producer.stop()

    async def close_hour(self, later_ms: int = 2 * HOUR_MS) -> None:
        """An event of a later time in every partition."""
        await self.stack.send(menu("closer", self.hour_ms + later_ms, user) for user in user_of_each_partition())

    def audited_to(self) -> dict[int, int]:
        """By partition, ms since 1970."""
        rows = self.stack.query("SELECT kafka_partition AS p, toUnixTimestamp(audited_to) AS s FROM hour_audits FINAL")
        return {row["p"]: row["s"] * 1000 for row in rows}


def user_of_each_partition(prefix: str = "u") -> list[str]:
    """A user id for every partition, in order."""
    found: dict[int, str] = {}
    i = 0
    while len(found) < EVENT_PARTITIONS:
        found.setdefault(partition_of(f"{prefix}-{i}"), f"{prefix}-{i}")
        i += 1
    return [found[partition] for partition in range(EVENT_PARTITIONS)]


def of_session(event: dict[str, Any], session_id: str) -> dict[str, Any]:
    """The same event, told of a session instead of a user."""
    anonymous = {name: value for name, value in event.items() if name != "user_id"}
    return anonymous | {"session_id": session_id, "event_id": event.get("event_id") or str(uuid.uuid4())}


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with own_stack(tmp_path_factory.mktemp("past")) as (stack, _):
        worker = stack.start_worker()
        wait_until(lambda: ready(worker), 60, "worker ready")
        hour_ms = (int(time.time()) // 3600 - 10) * HOUR_MS
        yield Past(stack, worker, hour_ms)
