"""Faults are made, not imagined: processes die, stop and come back while events flow."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.freezing import freeze
from tests.integration.worker.own_stack import Warehouse, own_stack
from tests.integration.worker.stack import EVENTS, PANES, Stack, menu, ready
from tests.waiting import wait_until

SENT_PER_S = 500
KILLS = 3


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[Stack, Warehouse]]:
    """Servers of the test's own, since it breaks them; embedded ones, also where a Docker engine answers."""
    with own_stack(tmp_path) as stack:
        yield stack


async def flow(stack: Stack, service: str, until: Callable[[], bool]) -> int:
    """Send menus at a steady rate over all partitions, each at the time it is sent; every fourth one fails. Returns how many."""
    sent = 0
    while not until():
        at = time.time_ns() // 1_000_000
        batch = [menu(service, at, f"u-{sent + i}", "failed" if i % 4 == 0 else "full") for i in range(SENT_PER_S // 10)]
        await stack.send([*batch, *batch[:3]])
        sent += len(batch)
        await asyncio.sleep(0.1)
    return sent


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def counted(stack: Stack, service: str) -> tuple[int, int, int]:
    """Events, and menus in panes: all and failed ones."""
    (row,) = stack.query(
        "SELECT sum(count) AS n, sumIf(count, labels['outcome'] = 'failed') AS failed FROM panes "
        f"WHERE metric = 'menu_generation' AND labels['provider'] = '{service}'"
    )
    return stack.one(f"SELECT count() FROM events WHERE service = '{service}'"), row["n"], row["failed"]


@pytest.mark.timeout(300)
async def test_kills_while_records_are_in_flight_change_no_number(faulty: tuple[Stack, Warehouse]) -> None:
    """SIGKILLs of workers that had records open lose nothing and double nothing."""
    stack, _ = faulty
    chance = random.Random(7)
    kills = 0
    for _ in range(2):
        stack.start_worker(TELEMETRY_WORKER__FLUSH_INTERVAL_MS="400")
    wait_until(lambda: all(ready(worker) for worker in stack.roles), 60, "two workers ready")
    flowing = asyncio.create_task(flow(stack, "kills", lambda: kills == KILLS))
    while kills < KILLS:
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        victim = chance.choice([worker for worker in stack.roles if worker.process.poll() is None])
        if await asyncio.to_thread(victim.metric, "nutricoach_source_open_records") > 0:
            victim.kill()
            kills += 1
            stack.start_worker(TELEMETRY_WORKER__FLUSH_INTERVAL_MS="400")
    sent = await flowing
    failed = sum(1 for i in range(sent) if i % (SENT_PER_S // 10) % 4 == 0)
    want = (sent, sent, failed)
    await asyncio.to_thread(wait_until, lambda: counted(stack, "kills")[0] == sent, 60, f"{sent} events are stored")
    await asyncio.to_thread(wait_until, lambda: counted(stack, "kills") == want, 70, f"panes hold {want}")


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_panes_go_on_while_the_warehouse_is_away_and_rows_come_after(faulty: tuple[Stack, Warehouse]) -> None:
    """With ClickHouse killed for 20 s, panes of that time are on panes.v1 before it is back, and afterwards every row is there."""
    stack, warehouse = faulty
    worker = stack.start_worker(TELEMETRY_WORKER__MAX_RECORDS_OPEN="4000")
    wait_until(lambda: ready(worker), 60, "worker ready")
    before = await flow(stack, "away", after(3))
    await asyncio.to_thread(wait_until, lambda: counted(stack, "away")[0] == before, 60, "events before are stored")
    warehouse.kill()
    during = await flow(stack, "away", after(20))
    seen: dict[tuple[int, str], int] = {}

    async def on_topic() -> int:
        for record in await stack.read(PANES):
            flush = json.loads(record.value)
            for pane in flush["panes"]:
                if pane["labels"].get("provider") == "away" and pane["labels"].get("outcome") == "full":
                    key = (flush["source_partition"], pane["start"])
                    seen[key] = max(seen.get(key, 0), pane["count"])
        return sum(seen.values())

    total = before + during
    full = total - sum(1 for i in range(total) if i % (SENT_PER_S // 10) % 4 == 0)
    deadline = time.monotonic() + 15
    while await on_topic() < full and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    assert await on_topic() == full, "panes of the outage reached panes.v1 while ClickHouse was away"
    assert await asyncio.to_thread(worker.metric, "nutricoach_source_open_records") <= 4_000
    assert worker.process.poll() is None
    warehouse.start()
    await asyncio.to_thread(wait_until, lambda: counted(stack, "away")[:2] == (total, total), 60, f"{total} events and panes are stored")


@pytest.mark.timeout(240)
async def test_a_zombie_that_wakes_up_late_changes_no_number(faulty: tuple[Stack, Warehouse]) -> None:
    """A worker stopped past its session and woken again writes older snapshots, and they lose."""
    stack, _ = faulty
    zombie, other = stack.start_worker(TELEMETRY_WORKER__FLUSH_INTERVAL_MS="1000"), stack.start_worker()
    wait_until(lambda: ready(zombie) and ready(other), 60, "two workers ready")
    woken = asyncio.Event()
    flowing = asyncio.create_task(flow(stack, "zombie", woken.is_set))
    await asyncio.to_thread(wait_until, lambda: zombie.metric("nutricoach_source_open_records") > 0, 60, "records in the zombie's hands")
    freeze(zombie.process.pid)
    taken = "nutricoach_source_partitions"
    await asyncio.to_thread(wait_until, lambda: other.metric(taken, EVENTS) == 12, 60, "the other worker has taken over every partition")
    written = await asyncio.to_thread(other.metric, "nutricoach_worker_panes_total")
    await asyncio.to_thread(wait_until, lambda: other.metric("nutricoach_worker_panes_total") > written, 60, "and writes their panes")
    zombie.signal(signal.SIGCONT)
    await asyncio.to_thread(wait_until, lambda: zombie.metric(taken, EVENTS) == 6, 60, "the zombie has found out and has its share again")
    woken.set()
    sent = await flowing
    await asyncio.to_thread(wait_until, lambda: counted(stack, "zombie")[:2] == (sent, sent), 60, f"{sent} events and panes are stored")
