from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition

from tests.freezing import freeze
from tests.integration.runtime.reading import reading
from tests.integration.runtime.topics import new_topic, numbered, produce, until
from tests.stack_fixtures import embedded_broker


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_an_idle_reader_stays_caught_up_and_one_behind_does_not(kafka: str) -> None:
    """The time moves on while nothing is produced, lies in the past, and is not claimed by a position before the end."""
    topic = await new_topic(kafka, 1)
    tp = TopicPartition(topic, 0)
    async with reading(kafka, topic) as reader:
        for position in (0, 30):
            await until(lambda position=position: (reader.source.caught_up_at_ms(tp, position) or 0) > 0)  # type: ignore[misc]
            before = now_ms()
            await until(lambda before=before, position=position: (reader.source.caught_up_at_ms(tp, position) or 0) > before)  # type: ignore[misc]
            assert (reader.source.caught_up_at_ms(tp, position) or 0) <= now_ms()
            await produce(kafka, topic, numbered(1, 30))
        produced_at = now_ms()
        await until(lambda: (end := reader.source.log_end(tp)) is not None and end.offset == 60)
        assert (reader.source.caught_up_at_ms(tp, 59) or 0) <= produced_at
        assert reader.source.log_end(TopicPartition(topic, 1)) is None
        assert reader.source.caught_up_at_ms(TopicPartition(topic, 1), 60) is None


async def test_a_transaction_marker_at_the_end_is_no_record_to_wait_for(kafka: str) -> None:
    """The log ends one offset after the last record, and no chunk will ever show that offset."""
    topic = await new_topic(kafka, 1)
    tp = TopicPartition(topic, 0)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic)
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"in a transaction", partition=0)
    await producer.stop()
    async with reading(kafka, topic) as reader:
        await until(lambda: reader.applied == {0: [0]})
        await until(lambda: (reader.source.caught_up_at_ms(tp, 1) or 0) > 0)
        before = now_ms()
        await until(lambda: (reader.source.caught_up_at_ms(tp, 1) or 0) > before)


async def test_while_the_broker_is_frozen_time_stands_still(tmp_path: Path) -> None:
    """What was appended meanwhile cannot be known, so nothing newer is claimed; afterwards it goes on."""
    with embedded_broker(tmp_path) as kafka:
        topic = await new_topic(kafka, 1)
        tp = TopicPartition(topic, 0)
        (broker,) = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _listens(pid, tmp_path)]
        async with reading(kafka, topic) as reader:
            await until(lambda: (reader.source.caught_up_at_ms(tp, 0) or 0) > 0)
            freeze(broker)
            try:
                frozen_at = now_ms()
                await until(lambda: now_ms() > frozen_at + 2_000)
                assert (reader.source.caught_up_at_ms(tp, 0) or 0) <= frozen_at
            finally:
                os.kill(broker, signal.SIGCONT)
            await until(lambda: (reader.source.caught_up_at_ms(tp, 0) or 0) > frozen_at + 2_000)


def _listens(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is the broker of `data_dir`: the process is a child of this one and names the directory."""
    try:
        return str(data_dir).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
