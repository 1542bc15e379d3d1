from __future__ import annotations

import asyncio
import gc
import time
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.embedded.ports import free_port
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.producer import Message, send_all, start_producer
from schemas.partitioning import partition_of
from tests.integration.runtime.topics import new_topic
from tests.stack_fixtures import embedded_broker


async def test_messages_land_whole_and_in_the_order_they_were_given(kafka: str) -> None:
    """Key, value, headers and partition arrive; the offsets that come back are where a reader finds them."""
    topic = await new_topic(kafka, 2)
    producer = await start_producer(kafka, "test")
    messages = [Message(topic, b"%d" % number, b"k", number % 2, [("moved_from", b"7")]) for number in range(100)]
    landed = await send_all(producer, messages)
    await producer.stop()
    assert [(one.partition, one.offset) for one in landed] == [(number % 2, number // 2) for number in range(100)]
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        found = [await consumer.getone() for _ in range(100)]
    assert {(one.partition, one.offset): one.value for one in found} == {(n % 2, n // 2): b"%d" % n for n in range(100)}
    assert {(one.key, one.headers) for one in found} == {(b"k", (("moved_from", b"7"),))}


async def test_without_a_partition_the_key_decides_as_our_rule_says(kafka: str) -> None:
    """A producer that names no partition and one that follows the key rule agree."""
    topic = await new_topic(kafka, 12)
    producer = await start_producer(kafka, "test")
    keys = [f"u-{number}" for number in range(50)]
    landed = await send_all(producer, [Message(topic, b"x", key.encode()) for key in keys])
    await producer.stop()
    assert [one.partition for one in landed] == [partition_of(key) for key in keys]


async def test_a_start_that_is_cancelled_leaves_nothing_open(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A producer that was just connected when whoever waited gave up is closed; one that stays open says so when it is collected."""
    connected, start = asyncio.Event(), AIOKafkaProducer.start

    async def start_and_linger(producer: AIOKafkaProducer) -> None:
        await start(producer)
        connected.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(AIOKafkaProducer, "start", start_and_linger)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ResourceWarning)
        starting = asyncio.create_task(start_producer(kafka, "test"))
        await connected.wait()
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        del starting
        gc.collect()
    assert [str(one.message) for one in said] == []


async def test_a_message_that_is_too_large_for_the_producer_ends_the_process(kafka: str) -> None:
    """Sending it again would never work; the line says what to do."""
    topic = await new_topic(kafka, 1)
    producer = await start_producer(kafka, "test", max_request_bytes=1_000)
    with pytest.raises(Stop, match=f"sending to {topic}: a message is larger"):
        await send_all(producer, [Message(topic, b"fits"), Message(topic, b"x" * 2_000)])
    await producer.stop()


async def test_a_message_that_is_too_large_for_the_topic_ends_the_process(kafka: str) -> None:
    """The broker's own limit is 1 MiB unless the topic says otherwise."""
    topic = await new_topic(kafka, 1)
    producer = await start_producer(kafka, "test", max_request_bytes=3 << 20)
    with pytest.raises(Stop, match="a message is larger"):
        await send_all(producer, [Message(topic, b"x" * (2 << 20))])
    await producer.stop()


async def test_a_topic_that_does_not_exist_is_asked_for_again_within_bounds(kafka: str) -> None:
    """It may be about to be created; the wait ends in time either way."""
    producer = await start_producer(kafka, "test")
    began = time.monotonic()
    with pytest.raises(RetryAfter):
        await send_all(producer, [Message("no-such-topic", b"x")], timeout_s=1.0)
    assert time.monotonic() - began < 3.0
    await producer.stop()


async def test_no_broker_at_start_ends_the_process_with_its_address() -> None:
    """A supervisor starts the role again; a person reads where it looked."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(Stop, match=f"no Kafka broker answers at {address}"):
        await start_producer(address, "test")


async def test_zstd_makes_repetitive_values_small_on_the_broker_s_disk(tmp_path: Path) -> None:
    """A flush of 900 kB of panes must not cost 900 kB, and reads back as it was."""
    value = b'{"metric":"menu_generation","labels":{}}' * 20_000
    with embedded_broker(tmp_path) as kafka:
        topic = await new_topic(kafka, 1)
        producer = await start_producer(kafka, "test", compression="zstd")
        await send_all(producer, [Message(topic, value, partition=0)])
        await producer.stop()
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(topic, 0)])
        assert (await consumer.getone()).value == value
        await consumer.stop()
        (segment,) = tmp_path.rglob(f"{topic}-0/*.log")
        assert segment.stat().st_size < len(value) / 20
