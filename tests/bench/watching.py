"""How far each partition of `events.v1` has come, as outsiders see it: on `panes.v1`, and in ClickHouse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import PANES
from tests.bench.sightings import Sightings
from tests.stack_fixtures import ClickHouseServer

ROWS_EVERY_S: Final = 0.03

#: Only parts that are at most ten seconds old are looked at: received_at is part of the partition key, so every part knows its range.
_ROWS: Final = """SELECT kafka_partition, max(kafka_offset) FROM telemetry.events_raw
WHERE received_at > now64(3) - INTERVAL 10 SECOND GROUP BY kafka_partition FORMAT JSONCompactEachRow"""


@asynccontextmanager
async def watched_panes(kafka: str) -> AsyncIterator[Sightings]:
    """What an ordinary consumer of `panes.v1` has been told, from the end of the topic on: the `last_offset` of whole flushes."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(PANES.name, 0)])
        await consumer.seek_to_end()
        sightings = Sightings()
        async with _running(_read_panes(consumer, sightings)):
            yield sightings
    finally:
        await consumer.stop()


async def _read_panes(consumer: AIOKafkaConsumer, sightings: Sightings) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=1_000)
        at_s = time.monotonic()
        for records in batches.values():
            for record in records:
                flush = orjson.loads(record.value)
                if flush["watermark"] is not None:  # the first parts of a flush that was split, and repairs, have none
                    sightings.add(flush["source_partition"], flush["last_offset"], at_s)


@asynccontextmanager
async def watched_rows(server: ClickHouseServer) -> AsyncIterator[Sightings]:
    """What a SELECT sees of `events_raw`, asked again ROWS_EVERY_S after each answer: a row was there up to that much earlier.

    The view `events` shows a row from the same moment on. Rows of a partition are inserted in the order of their offsets.
    """
    credentials = {"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password}
    async with aiohttp.ClientSession(headers=credentials) as session:
        sightings = Sightings()
        async with _running(_ask_for_rows(session, server.url, sightings)):
            yield sightings


async def _ask_for_rows(session: aiohttp.ClientSession, url: str, sightings: Sightings) -> None:
    while True:
        async with session.post(url, data=_ROWS) as answer:
            answer.raise_for_status()
            lines = await answer.read()
        at_s = time.monotonic()
        for line in lines.splitlines():
            partition, offset = orjson.loads(line)
            sightings.add(int(partition), int(offset), at_s)
        await asyncio.sleep(ROWS_EVERY_S)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """`work` beside the block; what made it fail is raised at the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
