from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.ports import free_port
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message, send_all, start_producer
from tests.integration.runtime.reading import reading
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, until
from tests.stack_fixtures import embedded_broker


async def test_a_restart_of_the_broker_is_survived(tmp_path: Path) -> None:
    """The reader goes on where it was, the producer says to try again while the broker is away, and works on without being made anew."""
    port = free_port()
    with embedded_broker(tmp_path, port) as kafka:
        topic = await new_topic(kafka, 4)
        await produce(kafka, topic, numbered(4, 100))
        producer = await start_producer(kafka, "test")
        reader_context = reading(kafka, topic)
        reader = await reader_context.__aenter__()
        await until(lambda: reader.applied_count == 400)
    try:
        with pytest.raises(RetryAfter):
            await send_all(producer, [Message(topic, b"while away", partition=0)], timeout_s=1.0)
        with embedded_broker(tmp_path, port):
            await send_all(producer, [Message(topic, b"%d" % number, partition=number % 4) for number in range(400)])
            await until(lambda: all(len(reader.applied[partition]) >= 200 for partition in range(4)), within_s=60.0)
            assert not reader.app.crashed
            await until(lambda: _committed_everything(kafka, topic, reader.applied), within_s=30.0)
            await reader_context.__aexit__(None, None, None)
            await producer.stop()
    finally:
        await producer.stop()
    for partition in range(4):
        assert sorted(set(reader.applied[partition])) == list(range(max(reader.applied[partition]) + 1))


async def _committed_everything(kafka: str, topic: str, applied: dict[int, list[int]]) -> bool:
    return await committed(kafka, topic) == {partition: max(offsets) + 1 for partition, offsets in applied.items()}
