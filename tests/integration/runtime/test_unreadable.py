from __future__ import annotations

from contextlib import aclosing

import pytest
from aiokafka.structs import ConsumerRecord

from pipeline.runtime.clock import SystemClock
from pipeline.runtime.errors import TelemetryError
from pipeline.runtime.producer import start_producer, stop_producer
from pipeline.runtime.topic_tail import pages_to_end
from pipeline.runtime.topics_admin import ensure_topics
from pipeline.runtime.unreadable import ERROR_CODE, Unreadable
from schemas.alert import parse_alert
from schemas.dead_letter import DeadLetter, read_dead_letter
from schemas.topics import DLQ


def record(topic: str, offset: int, value: bytes | None) -> ConsumerRecord:
    headers = (("traceparent", b"00-1-2-01"),)
    return ConsumerRecord(topic, 0, offset, 1_700_000_000_000, 0, b"k", value, 0, 1, len(value or b""), headers)


def note(unreadable: Unreadable, offset: int, value: bytes | None, topic: str = "alerts-of-a-test") -> None:
    try:
        parse_alert(value or b"")
    except ValueError as error:
        unreadable(record(topic, offset, value), error)


async def letters(kafka: str, topic: str) -> list[DeadLetter]:
    found = []
    async with aclosing(pages_to_end(kafka, DLQ.name)) as pages:
        async for page in pages:
            found += [read_dead_letter(one.headers, one.key, one.value) for one in page.records]
    return [one for one in found if one.kafka_topic == topic]


async def test_each_record_that_cannot_be_read_becomes_one_dead_letter(kafka: str) -> None:
    """With its place, key, bytes, headers and a reason that tells nothing of its content; read again it is not reported again."""
    await ensure_topics(kafka)
    unreadable, producer = Unreadable(SystemClock()), await start_producer(kafka, "test")
    for _ in range(2):
        note(unreadable, 3, b'{"secret":"hunter2"}')
        note(unreadable, 4, None)
        note(unreadable, 9, b"\xff" * 900_000)
        await unreadable.send(producer)
    await stop_producer(producer)
    first, empty, large = await letters(kafka, "alerts-of-a-test")
    assert (first.place, first.key, first.value) == ("alerts-of-a-test/0/3", b"k", b'{"secret":"hunter2"}')
    assert (first.error_code, first.record_headers) == (ERROR_CODE, (("traceparent", b"00-1-2-01"),))
    assert "transition_id: Field required" in first.reason
    assert not any("hunter2" in letter.reason for letter in (first, empty, large))
    assert (empty.kafka_offset, empty.value) == (4, b"")
    assert large.kafka_offset == 9
    assert 0 < len(large.value) < 900_000


async def test_what_kafka_does_not_take_stays_noted(kafka: str) -> None:
    """An attempt that fails loses nothing: the next one sends it."""
    await ensure_topics(kafka)
    unreadable, producer = Unreadable(SystemClock()), await start_producer(kafka, "test")
    note(unreadable, 0, b"?", "alerts-of-another-test")
    await stop_producer(producer)
    with pytest.raises(TelemetryError):
        await unreadable.send(producer)
    another = await start_producer(kafka, "test")
    await unreadable.send(another)
    await stop_producer(another)
    assert [letter.kafka_offset for letter in await letters(kafka, "alerts-of-another-test")] == [0]
