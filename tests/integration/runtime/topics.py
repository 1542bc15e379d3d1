"""Topics, records and offsets at a real broker, through clients the code under test does not use."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

_count = itertools.count()


async def new_topic(bootstrap_servers: str, partitions: int) -> str:
    """An empty topic nobody else uses; its name serves as the name of a group too."""
    name = f"runtime-{os.getpid()}-{next(_count)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()
    return name


async def produce(bootstrap_servers: str, topic: str, values: Iterable[tuple[int, bytes]]) -> None:
    """Send (partition, value) pairs, in order per partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=5)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, partition=partition) for partition, value in values])
    finally:
        await producer.stop()


def numbered(partitions: int, per_partition: int, first: int = 0) -> list[tuple[int, bytes]]:
    """The value of each record is the offset it gets in an empty partition."""
    return [(partition, b"%d" % number) for number in range(first, first + per_partition) for partition in range(partitions)]


async def committed(bootstrap_servers: str, group_id: str) -> dict[int, int]:
    """Committed offset per partition, as the broker tells an administrator."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group_id)
    finally:
        await admin.close()
    return {tp.partition: meta.offset for tp, meta in offsets.items()}


async def remove_before(bootstrap_servers: str, topic: str, partition: int, offset: int) -> None:
    """What retention does to old records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = 20.0) -> float:
    """Wait until `condition` holds; the seconds it took. Fails after `within_s`."""
    began = time.monotonic()
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return time.monotonic() - began
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.02)
