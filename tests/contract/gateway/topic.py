"""Reads what is added to events.v1, as any consumer would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

NAME = "nutricoach.telemetry.events.v1"


@dataclass(frozen=True, slots=True)
class Topic:
    """`read` gives each record once, those of a partition in its order."""

    consumer: Any
    partitions: list[TopicPartition]

    async def read(self) -> list[ConsumerRecord]:
        """Everything that has been added since the last read, to the very end of every partition."""
        records: list[ConsumerRecord] = []
        ends = await self.consumer.end_offsets(self.partitions)
        while any([await self.consumer.position(p) < ends[p] for p in self.partitions]):
            for group in (await self.consumer.getmany(timeout_ms=100)).values():
                records.extend(group)
        return records


@asynccontextmanager
async def events_topic(kafka: str, *, from_beginning: bool = False) -> AsyncIterator[Topic]:
    """From the present end of each of the twelve partitions, or from their beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(NAME, partition) for partition in range(12)]
        consumer.assign(partitions)
        await (consumer.seek_to_beginning(*partitions) if from_beginning else consumer.seek_to_end(*partitions))
        for partition in partitions:
            await consumer.position(partition)
        yield Topic(consumer, partitions)
    finally:
        await consumer.stop()
