from __future__ import annotations

import time
from typing import Any

from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from pipeline.runtime.chunk_source import Limits
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.ledger import Chunk
from tests.integration.runtime.reading import QUICK, reading
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, until


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_reading_pauses_at_the_bound_and_goes_on_without_a_gap(kafka: str) -> None:
    """Chunks nobody finishes stop the flow within one poll of the bound, for longer than a session, and no member is expelled."""
    topic = await new_topic(kafka, 4)
    await produce(kafka, topic, numbered(4, 1_000))
    held: list[Chunk] = []
    release = False

    async def hold(chunk: Chunk) -> None:
        if release:
            chunk.done()
        else:
            held.append(chunk)

    limits = Limits(chunk_records=100, max_records_open=500, commit_interval_s=0.05, session_timeout_s=6.0)
    async with reading(kafka, topic, hold, limits=limits) as reader:
        await until(lambda: metric("nutricoach_source_throttled_total", topic=topic) == 1)
        assert 500 <= metric("nutricoach_source_open_records", topic=topic) <= 600
        await until(lambda: metric("nutricoach_source_head_age_seconds", topic=topic) > limits.session_timeout_s)
        assert 500 <= sum(len(chunk.records) for chunk in held) <= 600
        release = True
        for chunk in held:
            chunk.done()
        await until(lambda: reader.applied_count == 4_000)
        assert metric("nutricoach_source_rebalances_total", topic=topic) == 1
    assert reader.applied == {partition: list(range(1_000)) for partition in range(4)}
    assert await committed(kafka, topic) == dict.fromkeys(range(4), 1_000)


async def test_bytes_are_a_bound_of_their_own(kafka: str) -> None:
    """A few large records fill the memory long before the count of records does."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, [(0, b"x" * 10_000)] * 200)
    held: list[Chunk] = []

    async def hold(chunk: Chunk) -> None:
        held.append(chunk)

    limits = Limits(chunk_records=10, max_bytes_open=500_000, drain_timeout_s=0.1)
    async with reading(kafka, topic, hold, limits=limits):
        await until(lambda: metric("nutricoach_source_throttled_total", topic=topic) == 1)
        assert 500_000 <= sum(chunk.size_bytes for chunk in held) <= 600_000


async def test_a_partition_that_is_rewound_waits_for_room_like_the_others(kafka: str) -> None:
    """While another partition holds all that may be open, a rewind resumes nothing; its records come when there is room."""
    topic = await new_topic(kafka, 2)
    full, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    held: list[Chunk] = []
    release = False

    async def hold(chunk: Chunk) -> None:
        if chunk.tp == full and not release:
            held.append(chunk)
        else:
            chunk.done()

    limits = Limits(chunk_records=100, max_records_open=300, commit_interval_s=0.05, log_end_interval_s=0.05)
    async with reading(kafka, topic, hold, limits=limits) as reader:
        await produce(kafka, topic, [(1, b"first")] * 300)
        await until(lambda: reader.applied == {1: list(range(300))})
        await produce(kafka, topic, [(0, b"first")] * 300)
        await until(lambda: metric("nutricoach_source_throttled_total", topic=topic) == 1)
        assert await reader.source.rewind(other)
        await until(lambda: other in reader.source.owned())
        await produce(kafka, topic, [(1, b"later")] * 10)
        since_ms = time.time_ns() // 1_000_000 + 1_000
        await until(lambda: (end := reader.source.log_end(other)) is not None and end.learnt_at_ms > since_ms)
        assert len(reader.applied[1]) == 300
        release = True
        for chunk in held:
            chunk.done()
        await until(lambda: len(reader.applied[1]) == 310)


async def test_the_watchdog_waits_as_long_as_somebody_says_for_what(kafka: str) -> None:
    """A chunk may wait for ClickHouse far longer than the limit; when nothing is waited for any more, the worker ends."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 5))
    waiting: list[str | None] = ["ClickHouse"]

    async def hold(chunk: Chunk) -> None:
        chunk.release()

    limits = Limits(stuck_after_s=0.5, commit_interval_s=0.05)
    async with reading(kafka, topic, hold, limits=limits, waiting_for=lambda: waiting[0]) as reader:
        await until(lambda: metric("nutricoach_source_head_age_seconds", topic=topic) > 3 * limits.stuck_after_s)
        assert not reader.app.crashed
        waiting[0] = None
        took_s = await until(lambda: reader.app.crashed)
    assert took_s >= limits.stuck_after_s - 0.2
    assert isinstance(reader.app.crash_reason, Stop)
    assert f"{topic}-0 is stuck: the records from offset 0 on are not done" in str(reader.app.crash_reason)


async def test_a_chunk_that_fails_for_ever_ends_the_worker(kafka: str, logged: list[Any]) -> None:
    """Reading it again does not hide it from the watchdog, the delay grows, and the neighbours are not held up."""
    topic = await new_topic(kafka, 2)
    await produce(kafka, topic, numbered(2, 50))

    async def poisoned(chunk: Chunk) -> None:
        if chunk.tp.partition == 0:
            raise ZeroDivisionError
        chunk.done()

    limits = Limits(stuck_after_s=2.0, commit_interval_s=0.05, retry_delay_s=0.1, max_retry_delay_s=0.4)
    async with reading(kafka, topic, poisoned, limits=limits) as reader:
        await until(lambda: reader.app.crashed)
    assert f"{topic}-0 is stuck" in str(reader.app.crash_reason)
    assert reader.applied == {1: list(range(50))}
    delays = [line["delay_s"] for line in logged if line["event"].startswith("chunk failed")]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.4]


async def test_retry_after_waits_as_long_as_it_says(kafka: str, logged: list[Any]) -> None:
    """The other side knows best when to come back; it is a warning, not an error."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 10))
    busy = [RetryAfter("ClickHouse is busy", 0.3)]

    async def retry(chunk: Chunk) -> None:
        if busy:
            raise busy.pop()
        chunk.done()

    async with reading(kafka, topic, retry, limits=QUICK) as reader:
        await until(lambda: reader.applied_count == 10)
    (line,) = [line for line in logged if line["event"].startswith("chunk failed")]
    assert (line["log_level"], line["delay_s"]) == ("warning", 0.3)
    assert metric("nutricoach_source_rewinds_total", topic=topic, reason="failed") == 1
