from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from pipeline.embedded.ports import free_port
from pipeline.runtime.errors import Stop
from pipeline.runtime.topic_tail import TopicTail, pages_to_end, read_to_end
from tests.integration.runtime.topics import new_topic, numbered, produce, remove_before, until


async def test_a_topic_is_read_from_its_start_to_its_end_each_time(kafka: str) -> None:
    """Four reads in a row: one that reads nothing now and then would rebuild an empty state."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 3_000))
    for _ in range(4):
        seen: list[bytes] = []
        assert await read_to_end(kafka, topic, lambda record, seen=seen: seen.append(record.value)) == 3_000  # type: ignore[misc]
        assert seen == [b"%d" % number for number in range(3_000)]


async def test_an_empty_topic_ends_where_it_begins(kafka: str) -> None:
    """Also when retention has emptied it: reading goes on at the end, not at zero."""
    topic = await new_topic(kafka, 1)
    assert await read_to_end(kafka, topic, pytest.fail) == 0
    await produce(kafka, topic, numbered(1, 5))
    await remove_before(kafka, topic, 0, 5)
    assert await read_to_end(kafka, topic, pytest.fail) == 5


async def test_a_log_that_ends_in_a_transaction_marker_has_an_end(kafka: str) -> None:
    """The last offset is no record; waiting for one would last for ever."""
    topic = await new_topic(kafka, 1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"x", partition=0)
    await producer.stop()
    seen: list[bytes] = []
    assert await read_to_end(kafka, topic, lambda record: seen.append(record.value)) == 2
    assert seen == [b"x"]


async def test_a_part_of_a_topic_is_read_by_time_and_by_offset(kafka: str) -> None:
    """From the first record of a time on, from an offset on, up to an offset; what lies outside the log is no part of it."""
    topic = await new_topic(kafka, 1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for number in range(10):
        await producer.send_and_wait(topic, b"%d" % number, timestamp_ms=1_700_000_000_000 + number * 1000)
    await producer.stop()

    async def part(from_offset: int = 0, since_ms: int | None = None, until: int | None = None) -> list[int]:
        pages = pages_to_end(kafka, topic, from_offset=from_offset, since_ms=since_ms, until=until)
        async with aclosing(pages):
            return [int(record.value) async for page in pages for record in page.records]

    assert await part(since_ms=1_700_000_006_500) == [7, 8, 9]
    assert await part(since_ms=1_700_000_006_500, until=9) == [7, 8]
    assert await part(since_ms=1_700_000_006_500, from_offset=8) == [8, 9]
    assert await part(from_offset=3, until=5) == [3, 4]
    assert await part(since_ms=1_800_000_000_000) == []
    assert await part(from_offset=50, until=60) == []


async def test_what_comes_after_the_call_is_left_to_the_tail(kafka: str) -> None:
    """Together they hand over every record once, in order, while somebody goes on writing."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 500))
    writing = asyncio.create_task(produce(kafka, topic, numbered(1, 2_000, first=500)))
    rebuilt: list[bytes] = []
    followed: list[bytes] = []

    async def follow(record: ConsumerRecord) -> None:
        followed.append(record.value)

    next_offset = await read_to_end(kafka, topic, lambda record: rebuilt.append(record.value))
    tail = TopicTail(kafka, topic, follow, from_offset=next_offset)
    async with tail:
        await writing
        await until(lambda: tail.position == 2_500)
    assert len(rebuilt) == next_offset
    assert rebuilt + followed == [b"%d" % number for number in range(2_500)]


async def test_an_error_of_the_handler_ends_the_tail(kafka: str) -> None:
    """A command that cannot be applied must not be skipped."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 3))
    seen: list[bytes] = []

    async def refuse(record: ConsumerRecord) -> None:
        seen.append(record.value)
        raise Stop("this command contradicts the state")

    tail = TopicTail(kafka, topic, refuse, from_offset=0)
    async with tail:
        await until(lambda: tail.crashed)
        reason = tail.crash_reason
    assert (str(reason), seen, tail.position) == ("this command contradicts the state", [b"0"], 0)


async def test_a_tail_does_not_jump_over_what_retention_removed(kafka: str) -> None:
    """It ends the worker, which rebuilds its state from what there is."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 10))
    await remove_before(kafka, topic, 0, 8)

    async def never(record: ConsumerRecord) -> None:
        pytest.fail("read over a hole")

    tail = TopicTail(kafka, topic, never, from_offset=5)
    async with tail:
        await until(lambda: tail.crashed)
        reason = tail.crash_reason
    assert isinstance(reason, Stop)
    assert f"following {topic} at offset 5: the log does not hold that offset any more" in str(reason)


async def test_no_broker_is_said_with_its_address() -> None:
    """Instead of waiting for ever."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Stop, match=f"no Kafka broker answers at {address}"):
        await read_to_end(address, "alerts", pytest.fail)
