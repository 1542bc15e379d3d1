"""A service with users: menus, views and requests at a steady rate, over HTTP; told on stdin to `fail`, to `heal`, to `stop`.

    python -m tests.bench.outage_generator http://127.0.0.1:8100 1000

Prints one JSON line per order: {"failing_since_ms"} is the wall time just before the request with the first failed menu left.
Half of the events are menus; while it fails every menu does. Imports nothing of the project.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import aiohttp

BATCHES_PER_S = 20


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def event(chance: random.Random, number: int, *, failing: bool) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    base: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "schema_version": 1,
        "occurred_at": at,
        "source": {"service": "menu-api", "environment": "bench"},
        "user_id": f"u-{chance.randrange(5_000)}",
    }
    if number % 2 == 0:
        outcome = {"outcome": "failed", "error_type": "timeout"} if failing else {"outcome": "full"}
        properties = {
            "recipe_count": 5,
            "restrictions": [],
            "generation_time_ms": round(chance.uniform(400, 2_500), 1),
            "provider": "ollama",
        }
        return base | {"event_type": "menu_generated", "properties": properties | outcome}
    if number % 4 == 1:
        return base | {"event_type": "recipe_view", "properties": {"recipe_id": f"r-{chance.randrange(500)}"}}
    request = {"method": "GET", "route": "/api/menus/:id", "status_code": 200, "duration_ms": round(chance.uniform(5, 80), 2)}
    return base | {"event_type": "api_request", "properties": request}


async def generate(gateway_url: str, per_s: int, orders: asyncio.Queue[str]) -> None:
    """Send until told to stop; a batch that is refused is sent again."""
    chance, failing, announced = random.Random(1), False, True
    posts: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        due = time.monotonic()
        while True:
            while not orders.empty():
                order = orders.get_nowait()
                if order == "stop":
                    await asyncio.gather(*posts)
                    return
                failing, announced = order == "fail", order != "fail"
                if order == "heal":
                    print(json.dumps({"healed_at_ms": now_ms()}), flush=True)  # noqa: T201
            batch = [event(chance, number, failing=failing) for number in range(per_s // BATCHES_PER_S)]
            if not announced:
                announced = True
                print(json.dumps({"failing_since_ms": now_ms()}), flush=True)  # noqa: T201
            posts.add(task := asyncio.create_task(_post(session, gateway_url, batch)))
            task.add_done_callback(posts.discard)
            due += 1 / BATCHES_PER_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _post(session: aiohttp.ClientSession, gateway_url: str, batch: list[dict[str, Any]]) -> None:
    while True:
        try:
            async with session.post(f"{gateway_url}/v1/events", json=batch) as answer:
                if answer.status == 202:
                    return
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(0.5)


async def main() -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read_order() -> None:
        orders.put_nowait(sys.stdin.readline().strip() or "stop")

    loop.add_reader(sys.stdin, read_order)
    await generate(sys.argv[1], int(sys.argv[2]), orders)


if __name__ == "__main__":
    asyncio.run(main())
