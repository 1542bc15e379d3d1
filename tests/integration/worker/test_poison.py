"""Every row of the poison list through a real worker: one dead letter each, neighbours stored in time, memory bounded."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from schemas.dead_letter import DeadLetter, read_dead_letter
from schemas.partitioning import partition_of
from tests.integration.worker.stack import DLQ, EVENTS, Role, Stack, ready
from tests.poison.catalogue import Poison, document, poison_list
from tests.poison.report import MAX_DELAY_S, Row, forget_peak, peak_bytes, resident_bytes, show
from tests.waiting import wait_until

NEIGHBOURS: Final = 20
RETRIES: Final = 3
USER: Final = "u-poison"
PARTITION: Final = partition_of(USER)


@asynccontextmanager
async def producer_of(stack: Stack, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all", **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def until(condition: Callable[[], Any], within_s: float, what: str) -> None:
    await asyncio.to_thread(wait_until, condition, within_s, what)


class Attack:
    """Sends rows between good neighbours of the same partition and looks at what became of all of them."""

    def __init__(self, stack: Stack, worker: Role, producer: AIOKafkaProducer) -> None:
        self._stack, self._worker, self._producer = stack, worker, producer

    async def send(self, poison: Poison | None) -> tuple[str, float, int]:
        """The neighbours' service, seconds from the first send until all of them were stored, and the poison's offset."""
        service, began_at = f"neighbours-{uuid.uuid4().hex[:8]}", time.monotonic()
        await self._neighbours(service)
        offset = -1 if poison is None else (await self._producer.send_and_wait(EVENTS, poison.value, b"original key", PARTITION)).offset
        await self._neighbours(service)
        stored = f"SELECT count() FROM events WHERE service = '{service}'"
        await until(lambda: self._stack.one(stored) == 2 * NEIGHBOURS, 30, f"neighbours of {poison and poison.name} are stored")
        return service, time.monotonic() - began_at, offset

    async def _neighbours(self, service: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")  # what is late waits for a repair, and here poison is looked at
        values = [json.dumps(document(service, user_id=USER, occurred_at=now)).encode() for _ in range(NEIGHBOURS)]
        await asyncio.gather(*[await self._producer.send(EVENTS, value, USER.encode(), PARTITION) for value in values])

    async def row(self, poison: Poison, usual_s: float, before_bytes: int) -> tuple[Row, int]:
        """What came of one row, and the offset it had."""
        forget_peak(self._worker.process.pid)
        service, delay_s, offset = await self.send(poison)
        problems = await self._problems(poison, service, offset)
        delay_s -= usual_s
        for _ in range(RETRIES):  # this machine may be busy with something else; poison is slow every time
            if delay_s > MAX_DELAY_S:
                usual_now_s = (await self.send(None))[1]
                delay_s = min(delay_s, (await self.send(poison))[1] - usual_now_s)
        extra_bytes = peak_bytes(self._worker.process.pid) - before_bytes
        return Row(poison.name, poison.error_code or "an event", extra_bytes, delay_s, problems), offset

    async def _problems(self, poison: Poison, service: str, offset: int) -> list[str]:
        counted = f"SELECT sum(count) FROM panes WHERE metric = 'menu_generation' AND labels['provider'] = '{service}'"
        codes = [poison.error_code] if poison.error_code else []
        try:
            await until(lambda: self._stack.one(counted) == 2 * NEIGHBOURS, 10, "neighbours are counted")
            await until(lambda: self._codes(offset) == codes, 5, f"its dead letters are {codes}")
            await until(lambda: bool(poison.error_code) or self._is_stored(poison), 5, "it is stored")
        except AssertionError as error:
            return [str(error)]
        return []

    def _codes(self, offset: int) -> list[str]:
        where = f"kafka_topic = '{EVENTS}' AND kafka_partition = {PARTITION} AND kafka_offset = {offset} AND reason != ''"
        return [row["error_code"] for row in self._stack.query(f"SELECT error_code FROM dead_letters WHERE {where}")]

    def _is_stored(self, poison: Poison) -> bool:
        """An event it is, which may have moved to the partition of its key."""
        event_id = (poison.value or b"").partition(b'"event_id": "')[2][:36].decode()
        return bool(self._stack.one(f"SELECT count() = 1 FROM events WHERE event_id = '{event_id}'"))


async def letters_of(stack: Stack) -> dict[int, list[DeadLetter]]:
    """Dead letters on `dlq.v1` by the offset they had in the partition of this test."""
    by_offset: dict[int, list[DeadLetter]] = {}
    for record in await stack.read(DLQ):
        letter = read_dead_letter(record.headers, record.key, record.value)
        if (letter.kafka_topic, letter.kafka_partition) == (EVENTS, PARTITION):
            by_offset.setdefault(letter.kafka_offset, []).append(letter)
    return by_offset


@pytest.mark.timeout(300)
async def test_every_row_is_one_dead_letter_and_harms_no_neighbour(stack: Stack) -> None:
    """Code and reason in ClickHouse, key and bytes on `dlq.v1`, neighbours stored within a second of the usual, 64 MiB at most."""
    worker = stack.start_worker()
    wait_until(lambda: ready(worker), 60, "worker ready")
    poisons = poison_list("poison")
    async with producer_of(stack) as producer:
        attack = Attack(stack, worker, producer)
        usual_s = median([(await attack.send(None))[1] for _ in range(5)])
        before_bytes = resident_bytes(worker.process.pid)
        seen = [await attack.row(poison, usual_s, before_bytes) for poison in poisons]
    letters = await letters_of(stack)
    for poison, (row, offset) in zip(poisons, seen, strict=True):
        wanted = [(poison.error_code, b"original key", poison.value or b"")] if poison.error_code else []
        if [(letter.error_code, letter.key, letter.value) for letter in letters.get(offset, [])] != wanted:
            row.problems.append("not one record on dlq.v1 with its key and bytes")
    rows = [row for row, _ in seen]
    show(f"poison by Kafka; neighbours usually {usual_s:.2f} s, worker {before_bytes >> 20} MiB", rows)
    assert not [line for row in rows for line in row.complaints()]
    assert worker.process.poll() is None
    assert "Traceback" not in worker.log.read_text()
