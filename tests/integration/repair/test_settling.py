"""A copy is judged only when its first one cannot be on the way any more: what is appended, but not read, may be it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import pytest
from pydantic import SecretStr

from pipeline.agents.outlet import Outlet
from pipeline.agents.repair import Repair
from pipeline.agents.repair_horizon import TopicEnds
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair_marks import load_audited, load_stale
from pipeline.clickhouse.tables import PARTITION_PROGRESS, STALE_HOURS, TABLES
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import ClickHouse, Kafka, Settings
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, pane_row, write, write_events, write_panes
from tests.integration.repair.conftest import of_session, user_of_each_partition
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import Stack, menu

PROPERTIES = {"generation_time_ms": 100.0, "outcome": "full", "provider": "p"}
SESSIONS = user_of_each_partition("s")
EVENT = UUID(int=77)
TWO_HOURS_ON = (DAY_MS + 2 * HOUR_MS) / 1000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two copies of an event are in the log, the first in partition 1. Partition 7, where the second is, has been read."""
    with own_stack(tmp_path_factory.mktemp("settling")) as (stack, _):
        copies = [of_session(menu("p", DAY_MS, ""), SESSIONS[partition]) | {"event_id": str(EVENT)} for partition in (1, 7)]
        asyncio.run(stack.send(copies))
        yield stack


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client(_settings(stack).clickhouse)
    for table in TABLES:
        await client.command(f"TRUNCATE TABLE {table.name}")
    await read_copy(client, 7, received_ms=DAY_MS + 2_000)
    await write_panes(client, panes(7))
    yield client
    await client.close()


@pytest.fixture
async def repair(stack: Stack) -> AsyncIterator[Repair]:
    """A worker's repair, of partition 7 only, which nobody calls but the test."""
    settings = _settings(stack)
    outlet = Outlet(stack.kafka, "test", SystemClock())
    repair = Repair(lambda: [], settings, outlet, SystemClock())
    await outlet.start()
    await repair.start()
    yield repair
    await repair.stop()
    await outlet.stop()


def _settings(stack: Stack) -> Settings:
    server = stack.clickhouse
    clickhouse = ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password))
    return Settings(kafka=Kafka(bootstrap_servers=stack.kafka), clickhouse=clickhouse)


def panes(partition: int) -> list[list[object]]:
    labels = {"provider": "p", "outcome": "full"}
    own = pane_row(
        "menu_generation", labels, DAY_MS, count=1, partition=partition, total=100_000_000, buckets={212: 1}, last_offset=0, version=0
    )
    every = {"event_type": "menu_generated", "service": "menu-api"}
    return [own, pane_row("events", every, DAY_MS, count=1, partition=partition, last_offset=0, version=0)]


async def read_copy(client: Client, partition: int, received_ms: int) -> None:
    """What a worker leaves that has read a partition's copy and found the event two hours old."""
    await write_events(client, [event_row(EVENT, offset=0, partition=partition, received_ms=received_ms, properties=PROPERTIES)])
    await write(client, PARTITION_PROGRESS, [[partition, 1, TWO_HOURS_ON, 0]])


async def counted(client: Client) -> dict[int, int]:
    rows = await client.query("SELECT source_partition AS p, count AS n FROM telemetry.panes WHERE metric = 'menu_generation'")
    return {row["p"]: row["n"] for row in rows}


async def test_an_hour_is_not_audited_before_other_partitions_have_been_read(client: Client, repair: Repair) -> None:
    """While partition 1 has a record that nobody has read, no hour of 7 counts as audited; afterwards the repeat is found."""
    await repair.once([7])
    assert (await load_audited(client), await counted(client)) == ({}, {7: 1})
    await read_copy(client, 1, received_ms=DAY_MS + 1_000)
    await repair.once([7])
    assert (await load_audited(client), await counted(client)) == ({7: DAY_MS + HOUR_MS}, {7: 0})
    await repair.once([7])
    assert await counted(client) == {7: 0}


async def test_a_mark_outlives_the_repair_that_could_not_know_everything(client: Client, repair: Repair) -> None:
    """A stale hour is repaired at once with what is known, and once more when first copies can no longer be on the way."""
    await client.command("TRUNCATE TABLE telemetry.panes_raw")
    await write(client, STALE_HOURS, [[7, DAY_MS // 1000, 0, -1]])
    await repair.once([7])
    assert await counted(client) == {7: 1}
    assert await load_stale(client, [7]) == {(7, DAY_MS): 0}
    await read_copy(client, 1, received_ms=DAY_MS + 1_000)
    await repair.once([7])
    assert await counted(client) == {7: 0}
    assert await load_stale(client, [7]) == {}


async def test_what_is_marked_beyond_what_is_durable_waits(client: Client, repair: Repair) -> None:
    """A mark of a record whose effects are not all stored yet is left for later."""
    await write(client, STALE_HOURS, [[7, DAY_MS // 1000, 1, -1]])
    await repair.once([7])
    assert await load_stale(client, [7]) == {(7, DAY_MS): 1}


async def test_the_ends_of_all_logs_are_known(stack: Stack) -> None:
    """The offset of the next record of every partition, whoever reads it; 0 where there is none."""
    ends = TopicEnds(stack.kafka)
    try:
        assert await ends.ask() == dict.fromkeys(range(12), 0) | {1: 1, 7: 1}
    finally:
        await ends.close()
