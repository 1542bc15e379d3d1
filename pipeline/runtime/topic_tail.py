"""Topics read outside any group: whole to their end, to rebuild a state, and then on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord
from mode import Service

from pipeline.runtime import metrics
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.kafka_errors import reaction, unreachable

_POLL_MS = 200
_ANSWER_TIMEOUT_S = 15.0


class Page(NamedTuple):
    """Records in order; `position` is the offset to go on from, `end` where reading will be over."""

    records: list[ConsumerRecord]
    position: int
    end: int


async def read_to_end(
    bootstrap_servers: str, topic: str, handle: Callable[[ConsumerRecord], None], *, partition: int = 0, since_ms: int | None = None
) -> int:
    """Hand every record from the start of the log to the end it has at the time of the call to `handle`, in order.

    since_ms: only those from the first one on whose Kafka timestamp is that or later.

    Returns:
        The offset to go on from (`TopicTail`).

    Raises:
        RetryAfter: Kafka does not answer any more; begin again with an empty state.
        Stop: no broker answers at all, or reading is not allowed.
    """
    end = 0
    async with aclosing(pages_to_end(bootstrap_servers, topic, partition=partition, since_ms=since_ms)) as pages:
        async for page in pages:
            for record in page.records:
                handle(record)
            end = page.end
    return end


async def pages_to_end(
    bootstrap_servers: str,
    topic: str,
    *,
    partition: int = 0,
    most_records: int | None = None,
    from_offset: int = 0,
    since_ms: int | None = None,
    until: int | None = None,
) -> AsyncGenerator[Page]:
    """The same, page by page of at most `most_records`, for a reader who must not have it all in memory; the first page is empty.

    It begins at `from_offset` or at `since_ms`, whichever comes later, and ends before offset `until` where the log goes on.

    Who does not read to the end closes it (`contextlib.aclosing`).
    """
    tp = TopicPartition(topic, partition)
    async with _consumer(bootstrap_servers, topic, "earliest") as consumer:
        try:
            start, end = await asyncio.wait_for(_bounds(consumer, tp, since_ms), _ANSWER_TIMEOUT_S)
            end = end if until is None else min(end, until)
            position = min(max(start, from_offset), end)
            consumer.assign([tp])
            consumer.seek(tp, position)
            yield Page([], position, end)
            while position < end:
                records = await asyncio.wait_for(_progress(consumer, tp, position, most_records), _ANSWER_TIMEOUT_S)
                metrics.TAILED.labels(topic).inc(len(records))
                position = await consumer.position(tp)
                yield Page([record for record in records if record.offset < end], position, end)
        except (KafkaError, TimeoutError) as error:
            raise reaction(error, f"reading {topic} to its end") from error


class TopicTail(Service):
    """Hands the records of one partition from `from_offset` on to `handle`, in order, for as long as it runs.

    An error of `handle` ends the worker; so does a log that no longer reaches back to the position (rebuild the state then).
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        handle: Callable[[ConsumerRecord], Awaitable[None]],
        *,
        from_offset: int,
        partition: int = 0,
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.tp = TopicPartition(topic, partition)
        self.position = from_offset
        self._bootstrap_servers, self._handle = bootstrap_servers, handle

    @Service.task
    async def _follow(self) -> None:
        async with _consumer(self._bootstrap_servers, self.tp.topic, "none") as consumer:
            consumer.assign([self.tp])
            consumer.seek(self.tp, self.position)
            while not self.should_stop:
                for record in await self._poll(consumer):
                    await self._handle(record)
                    self.position = record.offset + 1
                    metrics.TAILED.labels(self.tp.topic).inc()

    async def _poll(self, consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
        try:
            batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(timeout_ms=_POLL_MS)
        except KafkaError as error:
            answer = reaction(error, f"following {self.tp.topic} at offset {self.position}")
            if not isinstance(answer, RetryAfter):
                raise answer from error
            await self.sleep(answer.seconds)
            return []
        return batches.get(self.tp, [])


@asynccontextmanager
async def _consumer(bootstrap_servers: str, topic: str, auto_offset_reset: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset=auto_offset_reset,
        fetch_max_wait_ms=100,
        request_timeout_ms=int(_ANSWER_TIMEOUT_S * 1000),
    )
    try:
        try:
            await consumer.start()
        except KafkaConnectionError as error:
            raise unreachable(bootstrap_servers, error) from error
        yield consumer
    finally:
        await consumer.stop()


async def _bounds(consumer: AIOKafkaConsumer, tp: TopicPartition, since_ms: int | None) -> tuple[int, int]:
    """Start, or where `since_ms` is, and end of the log now."""
    starts = await consumer.beginning_offsets([tp])
    found = {} if since_ms is None else await consumer.offsets_for_times({tp: max(0, since_ms)})
    ends = await consumer.end_offsets([tp])
    start: int = starts[tp]
    if since_ms is not None:
        start = ends[tp] if found[tp] is None else found[tp].offset
    return start, ends[tp]


async def _progress(consumer: AIOKafkaConsumer, tp: TopicPartition, position: int, most_records: int | None) -> list[ConsumerRecord]:
    """The next records, or none when only holes were passed; waits until there is progress."""
    while True:
        batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=most_records)
        records: list[ConsumerRecord] = batches.get(tp, [])
        if records or await consumer.position(tp) > position:
            return records
