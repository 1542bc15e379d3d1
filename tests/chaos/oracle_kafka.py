"""What the oracle reads from the broker: whole topics, where they end, and what the workers' group has committed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.oracle_world import Record
from tests.chaos.sent import PARTITIONS

PREFIX: Final = "nutricoach.telemetry."
GROUP: Final = "nutricoach-worker"
EVENTS: Final = PREFIX + "events.v1"


async def read_topic(bootstrap_servers: str, topic: str, partitions: int = 1) -> list[Record]:
    """Everything the topic has now, by partition and offset."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    records: list[Record] = []
    async with _consumer(bootstrap_servers) as consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        while behind := [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            batches: dict[Any, list[Any]] = await consumer.getmany(*behind, timeout_ms=500)
            records += [_record(record) for tp, batch in batches.items() for record in batch if record.offset < ends[tp]]
    return sorted(records, key=lambda record: record.place)


async def log_ends(bootstrap_servers: str) -> dict[int, int]:
    """Where each partition of events.v1 ends."""
    async with _consumer(bootstrap_servers) as consumer:
        ends = await consumer.end_offsets([TopicPartition(EVENTS, partition) for partition in range(PARTITIONS)])
    return {tp.partition: end for tp, end in ends.items()}


async def committed_offsets(bootstrap_servers: str) -> dict[int, int | None]:
    """What the workers' group has committed of each partition of events.v1."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(GROUP)
    finally:
        await admin.close()
    committed = {tp.partition: meta.offset for tp, meta in offsets.items() if tp.topic == EVENTS and meta.offset >= 0}
    return {partition: committed.get(partition) for partition in range(PARTITIONS)}


@asynccontextmanager
async def _consumer(bootstrap_servers: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _record(record: Any) -> Record:
    return Record(record.partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
