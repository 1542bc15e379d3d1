"""Publishes what the partitions of this worker have to say, a few times a second, and hands the rest to the writer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from mode import Service

from pipeline.agents import metrics
from pipeline.agents.effects import Effects
from pipeline.agents.flushes import flush_values
from pipeline.agents.ingest import Ingest
from pipeline.agents.outlet import Outlet
from pipeline.agents.writer import Writer
from pipeline.aggregation.clock_skew import with_first_received
from pipeline.aggregation.partition import MOVED_FROM
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.clock import Clock
from pipeline.runtime.producer import Message
from pipeline.runtime.settings import Worker
from schemas.acceptance import without_acceptance
from schemas.event import BadEvent, decode_one
from schemas.partitioning import event_key, partition_of
from schemas.topics import EVENTS, PANES

#: An idle partition says so this often; the contract promises every two seconds.
IDLE_FLUSH_S: Final = 1.0
#: A flush this full is one of a worker that catches up: nobody waits for its panes, and each flush encodes every pane it has touched.
FULL_RATIO: Final = 0.25
FULL_INTERVALS: Final = 4


class Flusher(Service):
    """One flush at a time: moved records to their own partition, then panes, both awaited, then the rest to the writer."""

    def __init__(self, source: ChunkSource, ingest: Ingest, outlet: Outlet, writer: Writer, clock: Clock, settings: Worker) -> None:
        super().__init__(beacon=source.beacon)
        self._source, self._ingest, self._outlet, self._writer = source, ingest, outlet, writer
        self._clock, self._settings = clock, settings
        self._full = asyncio.Event()
        self._folded = 0
        self._said_at: dict[int, float] = {}

    def folded(self, records: int) -> None:
        """Told after each chunk; enough records make a flush due before its time."""
        self._folded += records
        if self._folded >= self._settings.flush_records:
            self._full.set()

    @Service.task
    async def _flush_regularly(self) -> None:
        due = self._clock.monotonic()
        while not self.should_stop:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), max(0.0, due - self._clock.monotonic()))
            due = self._clock.monotonic() + interval_s(self._folded, self._settings)
            await self.flush()

    async def flush(self) -> None:
        """Publish everything folded so far."""
        self._full.clear()
        self._folded = 0
        times_let_go = self._writer.times_let_go
        group, messages = self._take()
        if not self._writer.away:
            await self._outlet.send([forwarded(record) for record in group.moved])
        await self._outlet.send(messages)
        metrics.PANES.inc(len(group.panes))
        if group.chunks:
            self._writer.accept(group, times_let_go)

    def _take(self) -> tuple[Effects, list[Message]]:
        group, messages = Effects(), []
        owned = self._source.owned()
        self._ingest.keep_only({tp.partition for tp in owned})
        for tp, ledger in owned.items():
            effects = self._ingest.take(tp.partition, ledger)
            if effects is None:
                continue
            messages += self._messages(tp, effects)
            if effects.chunks:
                group.add(effects)
        return group, messages

    def _messages(self, tp: TopicPartition, effects: Effects) -> list[Message]:
        partition, now = tp.partition, self._clock.monotonic()
        if not effects.panes and now - self._said_at.get(partition, 0.0) < IDLE_FLUSH_S:
            return []
        self._said_at[partition] = now
        progress = effects.progress[partition]
        caught_up_at_ms = self._source.caught_up_at_ms(tp, progress.position)
        watermark_ms = progress.watermark_ms or None
        values = flush_values(partition, progress.position - 1, watermark_ms, caught_up_at_ms, list(effects.panes.values()))
        return [Message(PANES.name, key=str(partition).encode(), value=value) for value in values]


def interval_s(folded: int, settings: Worker) -> float:
    """Seconds from the beginning of a flush of `folded` records to the next one's."""
    is_full = folded >= FULL_RATIO * settings.flush_records
    return settings.flush_interval_ms / 1000 * (FULL_INTERVALS if is_full else 1)


def forwarded(record: ConsumerRecord) -> Message:
    """The record for the partition its key belongs to; headers say where it was, so that it is moved only once, and when it came."""
    one = decode_one(record.value or b"")
    assert not isinstance(one, BadEvent), "only valid events are moved"
    event = one[0]
    key = event_key(event.get("user_id"), event.get("session_id"), event["event_id"])
    moved = [*without_acceptance(record.headers), (MOVED_FROM, str(record.partition).encode())]
    headers = with_first_received(moved, record.timestamp)
    return Message(EVENTS.name, key=key.encode(), value=record.value, partition=partition_of(key), headers=headers)
