from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from alerting.fence import FRESH_S, Fence
from pipeline.embedded.ports import free_port
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message, start_producer, stop_producer

_count = itertools.count()


class HandClock:
    """Monotonic time as a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic(self) -> float:
        return self.now_s


def number(value: bytes) -> int:
    return int(value)


@pytest.fixture
async def topic(kafka: str) -> str:
    """One partition that nobody else uses."""
    name = f"fence-{os.getpid()}-{next(_count)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()
    return name


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    started = await start_producer(kafka, "fence")
    yield started
    await stop_producer(started)


class Fenced:
    """A fence on one topic of numbers, and what it called unreadable."""

    def __init__(self, bootstrap_servers: str, topic: str, clock: HandClock | SystemClock | None = None) -> None:
        self.unreadable: list[bytes | None] = []
        self.fence = Fence(bootstrap_servers, {topic: number}, clock or SystemClock(), self.note)

    def note(self, record: ConsumerRecord, error: ValueError) -> None:
        self.unreadable.append(record.value)


async def test_writes_of_ones_own_are_nobody_elses_however_many_tasks_write(kafka: str, topic: str, producer: AIOKafkaProducer) -> None:
    """Twenty tasks publish and check at the same time: none of them is told of another process, and all is on the topic."""
    fence = Fenced(kafka, topic).fence

    async def write(value: int) -> list[int]:
        landed = await fence.publish(producer, [Message(topic, b"%d" % value), Message(topic, b"%d" % value)])
        await fence.check()
        return [one.offset for one in landed]

    offsets = await asyncio.gather(*(write(value) for value in range(20)))
    assert sorted(itertools.chain(*offsets)) == list(range(40))
    await fence.close()


async def test_what_another_process_wrote_stops_this_one_until_it_has_read_it(kafka: str, topic: str, producer: AIOKafkaProducer) -> None:
    """Neither checks nor writes pass, and nothing of this process gets on the topic; having read on, both do."""
    fence = Fenced(kafka, topic).fence
    await fence.publish(producer, [Message(topic, b"1")])
    await producer.send_and_wait(topic, b"2")
    for _ in range(2):
        with pytest.raises(RetryAfter, match=rf"another process has written to {topic} \(offset 1\)"):
            await fence.check()
        with pytest.raises(RetryAfter, match="another process"):
            await fence.publish(producer, [Message(topic, b"3")])
    fence.read_to(topic, 2)
    await fence.check()
    assert [one.offset for one in await fence.publish(producer, [Message(topic, b"3")])] == [2]
    await fence.close()


async def test_garbage_on_the_topic_is_reported_and_stops_nobody(kafka: str, topic: str, producer: AIOKafkaProducer) -> None:
    """What does not parse comes from nobody who acts: it is told of once, and writing goes on behind it."""
    fenced = Fenced(kafka, topic)
    for value in (b"no number", b"", None):
        await producer.send_and_wait(topic, value, b"k")
    await fenced.fence.check()
    assert [one.offset for one in await fenced.fence.publish(producer, [Message(topic, b"1")])] == [3]
    await fenced.fence.check()
    assert fenced.unreadable == [b"no number", b"", None]
    await fenced.fence.close()


async def test_an_answer_of_the_broker_is_good_for_half_a_session(kafka: str, topic: str) -> None:
    """What is about to be sent is held back once the last answer is older than 5 s, until the broker answers again."""
    clock = HandClock()
    fence = Fenced(kafka, topic, clock).fence
    await fence.check()
    clock.now_s += FRESH_S
    fence.fresh()
    clock.now_s += 0.1
    with pytest.raises(RetryAfter, match=r"the broker last answered 5\.1 s ago"):
        fence.fresh()
    await fence.check()
    fence.fresh()
    await fence.close()


async def test_a_topic_that_was_made_anew_is_read_again(kafka: str, topic: str) -> None:
    """It ends before what had been read: what is known of it is worth nothing."""
    fence = Fenced(kafka, topic).fence
    fence.read_to(topic, 7)
    with pytest.raises(RetryAfter, match="it was made anew"):
        await fence.check()
    await fence.close()


async def test_without_a_broker_nothing_passes(topic: str) -> None:
    """Within half a session, as an error that says to try again."""
    fence = Fenced(f"127.0.0.1:{free_port()}", topic).fence
    began = time.monotonic()
    with pytest.raises(RetryAfter):
        await fence.check()
    assert time.monotonic() - began < FRESH_S + 1
    await fence.close()
