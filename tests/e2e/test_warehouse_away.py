from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.own_stack import Warehouse, own_stack
from tests.integration.worker.stack import Stack, menu, ready
from tests.receivers.slack import slack
from tests.waiting import wait_until

RULE = "Menu Generation Critical"


async def send_menus(stack: Stack, seconds: float, outcome: str) -> int:
    """Menus over all partitions for so long; returns how many."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        at = time.time_ns() // 1_000_000
        await stack.send([menu("menu-api", at, f"u-{sent + i}", outcome) for i in range(24)])
        sent += 24
        await asyncio.sleep(0.1)
    return sent


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[Stack, Warehouse]]:
    with own_stack(tmp_path) as stack:
        yield stack


@pytest.mark.timeout(240)
async def test_the_page_arrives_before_the_warehouse_is_back_and_every_row_after(faulty: tuple[Stack, Warehouse]) -> None:
    """ClickHouse is killed, then menus begin to fail: Slack hears of it while it is away, and afterwards every event is stored."""
    stack, warehouse = faulty
    async with slack() as receiver:
        for _ in range(2):
            stack.start_worker()
        stack.start("alerter")
        stack.start("notifier", TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL=f"{receiver.url}/critical")
        await asyncio.to_thread(wait_until, lambda: all(ready(role) for role in stack.roles), 60, "every role ready")
        sent = await send_menus(stack, 3, "full")
        stored = "SELECT count() FROM events WHERE service = 'menu-api'"
        await asyncio.to_thread(wait_until, lambda: stack.one(stored) == sent, 60, "events before are stored")
        warehouse.kill()
        failing = asyncio.create_task(send_menus(stack, 5, "failed"))
        (page,) = await receiver.wait_for(1, within_s=30)
        assert page["text"].startswith(f"CRITICAL: {RULE} fires")
        assert warehouse.process.poll() is not None, "the page came while ClickHouse was away"
        sent += await failing
        await asyncio.to_thread(warehouse.start)
        await asyncio.to_thread(wait_until, lambda: stack.one(stored) == sent, 60, f"{sent} events are stored")
        panes = "SELECT sum(count) FROM panes WHERE metric = 'menu_generation'"
        await asyncio.to_thread(wait_until, lambda: stack.one(panes) == sent, 60, f"panes hold {sent} menus")
