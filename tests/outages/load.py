"""A service whose every event is accounted for: a steady rate over HTTP, told on stdin to `fail`, to `heal`, to `stop`.

    python -m tests.outages.load http://127.0.0.1:8100 1000

Answers each order with one JSON line; the last one is what was sent, by event type and outcome. A batch that is not accepted is sent
again until it is, with the same ids, so what is counted here is what must be stored: no more and no less.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any

import aiohttp

from tests.bench.outage_generator import BATCHES_PER_S, event, now_ms

#: An outage of the gateway itself is not what is looked at here: a batch waits its turn, but not without bound.
MAX_UNANSWERED_BATCHES = 200


class Load:
    def __init__(self, gateway_url: str, per_s: int) -> None:
        self._url, self._per_s = f"{gateway_url}/v1/events", per_s
        self._posts: set[asyncio.Task[None]] = set()
        self.failing = False
        self.accepted: Counter[str] = Counter()
        self.refused_batches = 0

    async def run(self, orders: asyncio.Queue[str]) -> None:
        """Send until told to stop; returns when everything is accepted."""
        chance = random.Random(1)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            due = time.monotonic()
            while (order := None if orders.empty() else orders.get_nowait()) != "stop":
                if order is not None:
                    self.failing = order == "fail"
                    say(at_ms=now_ms(), accepted=sum(self.accepted.values()))
                if len(self._posts) < MAX_UNANSWERED_BATCHES:
                    batch = [event(chance, number, failing=self.failing) for number in range(self._per_s // BATCHES_PER_S)]
                    task = asyncio.create_task(self._post(session, batch))
                    self._posts.add(task)
                    task.add_done_callback(self._posts.discard)
                due += 1 / BATCHES_PER_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*self._posts)
        say(at_ms=now_ms(), accepted=sum(self.accepted.values()), by=dict(self.accepted), refused_batches=self.refused_batches)

    async def _post(self, session: aiohttp.ClientSession, batch: list[dict[str, Any]]) -> None:
        while True:
            try:
                async with session.post(self._url, json=batch) as answer:
                    if answer.status == 202:
                        self.accepted.update(map(kind, batch))
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.refused_batches += 1
            await asyncio.sleep(0.5)


def kind(sent: dict[str, Any]) -> str:
    """`menu_generated failed`, `recipe_view`, …: as the panes tell events apart."""
    outcome = sent["properties"].get("outcome")
    return f"{sent['event_type']} {outcome}" if outcome else str(sent["event_type"])


def say(**answer: Any) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201


async def main() -> None:
    orders: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: orders.put_nowait(sys.stdin.readline().strip() or "stop"))
    await Load(sys.argv[1], int(sys.argv[2])).run(orders)


if __name__ == "__main__":
    asyncio.run(main())
