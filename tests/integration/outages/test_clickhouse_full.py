"""ClickHouse's disk is full: nothing is committed that is not durable, everybody is told, and it goes on by itself."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.worker import GROUP_ID
from tests.integration.outages.full_disk import full_disk
from tests.integration.worker.own_stack import Warehouse, own_stack
from tests.integration.worker.stack import Role, Stack, menu, ready
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SAYS = "ClickHouse's disk is full, free some space there and it goes on by itself"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path)
    yield warehouse
    warehouse.kill()


def post(warehouse: Warehouse, query: str, body: bytes = b"") -> tuple[int, str]:
    """Status and text of a statement as the writer."""
    request = urllib.request.Request(f"{warehouse.server.url}/?{urllib.parse.urlencode({'query': query})}", data=body)
    request.add_header("X-ClickHouse-User", warehouse.server.user)
    request.add_header("X-ClickHouse-Key", warehouse.server.password)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("room_bytes", [0, 100_000])
def test_rows_that_only_fit_in_part_are_refused_as_a_full_disk(warehouse: Warehouse, room_bytes: int) -> None:
    """The end of a body that the disk had no room for is not simply missing: 507 with 243, no row stored, and all of them later."""
    assert post(warehouse, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")[0] == 200
    rows = b"\n".join(b'[%d,"%s"]' % (number, b"x" * 1_000) for number in range(150))
    assert room_bytes < len(rows) < 2 * 100_000, "the first write takes all there is, and there is no second"
    with full_disk(warehouse.process.pid, room_bytes):
        status, text = post(warehouse, "INSERT INTO t FORMAT JSONCompactEachRow", rows)
    assert (status, text.split(".")[0]) == (507, "Code: 243")
    assert post(warehouse, "SELECT count() FROM t") == (200, "0\n")
    assert post(warehouse, "INSERT INTO t FORMAT JSONCompactEachRow", rows)[0] == 200
    assert post(warehouse, "SELECT count() FROM t") == (200, "150\n")


def waits_for(worker: Role) -> str:
    """What /readyz says it waits for, '' when it is ready."""
    try:
        with urllib.request.urlopen(f"{worker.url}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        return str(json.loads(error.read())["waiting_for"])


async def committed(stack: Stack) -> dict[int, int]:
    """Committed offsets by partition of events.v1."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(GROUP_ID)
        return {tp.partition: one.offset for tp, one in offsets.items()}
    finally:
        await admin.close()


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[tuple[Stack, Warehouse]]:
    with own_stack(tmp_path) as stack:
        yield stack


@pytest.mark.timeout(120)
async def test_a_worker_says_it_commits_nothing_and_goes_on_when_there_is_room(whole: tuple[Stack, Warehouse]) -> None:
    """Panes go on; log and readiness say what, where and what to do; no offset moves; with room again every event is stored once."""
    stack, warehouse = whole
    worker = stack.start_worker()
    await asyncio.to_thread(wait_until, lambda: ready(worker), 60, "worker ready")
    await stack.send(menu("full", 1_760_000_000_000 + i, f"u-{i}") for i in range(100))
    stored = "SELECT count() FROM events"
    positions = "SELECT kafka_partition AS p, max(position) AS position FROM partition_progress GROUP BY p"

    def durable() -> dict[int, int]:
        return {row["p"]: row["position"] for row in stack.query(positions) if row["position"]}

    await asyncio.to_thread(wait_until, lambda: sum(durable().values()) == 100, 60, "events before are durable")
    before = durable()
    with full_disk(warehouse.process.pid):
        await stack.send(menu("full", 1_760_000_000_000 + i, f"u-{i}") for i in range(100, 200))
        await asyncio.to_thread(wait_until, lambda: SAYS in waits_for(worker), 30, "readiness says it")
        await asyncio.to_thread(wait_until, lambda: worker.metric("nutricoach_worker_let_go_total") == 1, 30, "effects are let go of")
        assert stack.one(stored) == 100, "it answers all the time"
        assert await committed(stack) == before == durable()
        assert await asyncio.to_thread(panes_published, stack) == 200, "panes go on"
        lines = [line for line in worker.log.read_text().splitlines() if SAYS in line]
        assert 1 <= len(lines) <= 3
    await asyncio.to_thread(wait_until, lambda: stack.one(stored) == 200, 60, "every event is stored")
    panes = "SELECT sum(count) FROM panes WHERE metric = 'menu_generation'"
    await asyncio.to_thread(wait_until, lambda: stack.one(panes) == 200, 60, "and counted once")
    await asyncio.to_thread(wait_until, lambda: waits_for(worker) == "", 30, "worker ready again")


def panes_published(stack: Stack) -> int:
    """Menus in the newest snapshot of every pane on panes.v1."""
    newest: dict[tuple[int, str, str], tuple[int, int]] = {}
    for record in asyncio.run(stack.read("nutricoach.telemetry.panes.v1")):
        flush = json.loads(record.value)
        for pane in flush["panes"]:
            if pane["metric"] == "menu_generation":
                key = (flush["source_partition"], pane["start"], json.dumps(pane["labels"], sort_keys=True))
                newest[key] = max(newest.get(key, (-1, 0)), (pane["version"], pane["count"]))
    return sum(count for _, count in newest.values())
