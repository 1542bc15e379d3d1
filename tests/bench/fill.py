"""Events to `events.v1` as the gateway sends them, zstd in batches of 256 KiB, built before and sent as often as needed.

What is measured never waits for the sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.gateway.publish import BATCH_BYTES
from schemas.topics import EVENTS
from tests.bench.events import Made


@dataclass(slots=True)
class Batches:
    """Batches per partition, in order."""

    by_partition: dict[int, list[Any]] = field(default_factory=dict)
    events: int = 0

    async def send(self, kafka: str) -> None:
        """Append them all; returns when the broker has them."""
        async with _producer(kafka) as producer:
            await asyncio.gather(*(self._send_lane(producer, partition) for partition in self.by_partition))

    async def _send_lane(self, producer: AIOKafkaProducer, partition: int) -> None:
        for batch in self.by_partition[partition]:
            await (await producer.send_batch(batch, EVENTS.name, partition=partition))


async def build(kafka: str, made: Iterable[Made]) -> Batches:
    """Batches of the events, in the order given within each partition; nothing is sent yet."""
    batches = Batches()
    async with _producer(kafka) as producer:
        for partition, key, value in made:
            lane = batches.by_partition.setdefault(partition, [producer.create_batch()])
            if lane[-1].append(key=key, value=value, timestamp=None) is None:
                lane.append(producer.create_batch())
                lane[-1].append(key=key, value=value, timestamp=None)
            batches.events += 1
    for lane in batches.by_partition.values():
        for batch in lane:
            batch.close()
    return batches


def fill(kafka: str, made: Iterable[Made]) -> int:
    """Append the events; returns how many."""

    async def run() -> int:
        batches = await build(kafka, made)
        await batches.send(kafka)
        return batches.events

    return asyncio.run(run())


@asynccontextmanager
async def _producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    # Not idempotent: that would write its own numbers into the batches, and they could be sent only once. A retry that doubles
    # something is seen by the check of every run.
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka,
        acks="all",
        enable_idempotence=False,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=4 * BATCH_BYTES,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
