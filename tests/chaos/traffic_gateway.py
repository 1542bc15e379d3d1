"""Copies through the gateway over HTTP, in batches: until a batch is accepted, the same ids are sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import orjson

from tests.chaos.sent import Copy, Item, Sent

BATCH: Final = 50
SENDERS: Final = 4
_GATHER_S: Final = 0.05
_PAUSE_S: Final = 0.5
_ANSWER_WITHIN_S: Final = 10.0
_NDJSON: Final = {"Content-Type": "application/x-ndjson"}
_ARRAY: Final = {"Content-Type": "application/json"}

Batch = Sequence[tuple[Item, Copy]]


class GatewayLane:
    """Sends what it is given; `run` until cancelled. The address is asked for at every attempt."""

    def __init__(self, url: Callable[[], str], sent: Sent) -> None:
        self._url, self._sent = url, sent
        self._waiting: asyncio.Queue[tuple[Item, Copy]] = asyncio.Queue()

    def send(self, item: Item, copy: Copy) -> None:
        """Take a copy over; its outcome is noted in it."""
        self._waiting.put_nowait((item, copy))

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._send_batches(session))

    async def _send_batches(self, session: aiohttp.ClientSession) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(_GATHER_S)
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            while not await self._accepted(session, batch):
                await asyncio.sleep(_PAUSE_S)

    async def _accepted(self, session: aiohttp.ClientSession, batch: Batch) -> bool:
        """One attempt; False means that the same must be sent again, though it may have arrived."""
        for _, copy in batch:
            copy.attempts += 1
        body, headers = encode([item for item, _ in batch])
        try:
            async with session.post(f"{self._url()}/v1/events", data=body, headers=headers) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        if answer.status >= 500 or answer.status == 408:
            return False
        if answer.status == 202:
            self._sent.problems += settle(batch, orjson.loads(text))
        else:
            self._sent.problems.append(f"the gateway refused a whole batch: {answer.status} {text[:200]!r}")
            for _, copy in batch:
                copy.outcome, copy.answer = "rejected", f"{answer.status}"
        return True


def encode(items: Sequence[Item]) -> tuple[bytes, dict[str, str]]:
    """Body and headers: an array of events; one a line when there is poison among them, of which each is then a bad line of its own."""
    values = [item.value or b"" for item in items]
    if any(item.what == "poison" for item in items):
        return b"\n".join(values), _NDJSON
    return b"[" + b",".join(values) + b"]", _ARRAY


def settle(batch: Batch, answer: dict[str, Any]) -> list[str]:
    """Note what a 202 says of each copy; returns what it should not say."""
    rejected = {one["index"]: one for one in answer["rejected"]}
    accepted = [item.event_id for index, (item, _) in enumerate(batch) if index not in rejected]
    problems = []
    if answer["event_ids"] != accepted or answer["accepted"] != len(accepted):
        problems.append(f"the gateway accepted {answer['event_ids']} of a batch in which {accepted} were left")
    for index, (_, copy) in enumerate(batch):
        copy.outcome = "rejected" if index in rejected else "acked"
        copy.answer = str(rejected[index]["errors"]) if index in rejected else ""
    return problems
