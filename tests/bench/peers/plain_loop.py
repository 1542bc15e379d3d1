"""A plain aiokafka loop for the same work (see `work`): getmany, fold, and while the last flush is written the next is folded.

At-least-once: offsets are committed after panes and rows are there. It has no supervision, no health, no back-pressure beyond one
flush in flight, and after a restart or a rebalance its panes begin again at nothing.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from time import monotonic

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.peers.work import EVENTS_TOPIC, FLUSH_RECORDS, FLUSH_S, KAFKA, PANES_TOPIC, Taken, Warehouse, Work, tame_collector


async def _write(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, warehouse: Warehouse, taken: Taken, positions: dict) -> None:  # type: ignore[type-arg]
    sends = [await producer.send(PANES_TOPIC, value, key=key) for key, value in taken.messages]
    await asyncio.gather(*sends)
    await asyncio.to_thread(warehouse.write, taken)
    await consumer.commit(positions)


async def _run(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    work, warehouse, positions, flushed_at = Work(), Warehouse(), {}, monotonic()
    writing: asyncio.Task[None] | None = None
    tame_collector()
    while True:
        for tp, records in (await consumer.getmany(timeout_ms=100, max_records=5_000)).items():
            work.fold(tp.partition, [r.value for r in records], [r.offset for r in records], [r.timestamp for r in records])
            positions[tp] = records[-1].offset + 1
        if work.records >= FLUSH_RECORDS or (work.records and monotonic() - flushed_at >= FLUSH_S):
            if writing is not None:
                await writing
            writing = asyncio.create_task(_write(consumer, producer, warehouse, work.take(), dict(positions)))
            flushed_at = monotonic()


async def main() -> None:
    consumer = AIOKafkaConsumer(
        EVENTS_TOPIC,
        bootstrap_servers=KAFKA,
        group_id="plain-loop",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=100,
        session_timeout_ms=30_000,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=KAFKA, enable_idempotence=True, acks="all", compression_type="zstd", max_request_size=2 << 20
    )
    await producer.start()
    await consumer.start()
    running = asyncio.ensure_future(_run(consumer, producer))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main())
