"""Topics read without a group from now, or from some time ago, on; who reads too slowly is brought to the end and told what he missed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord

from pipeline.runtime.errors import Stop
from pipeline.runtime.kafka_errors import reaction, unreachable
from schemas.topics import Topic

_POLL_MS: Final = 200
_MOST_RECORDS: Final = 2_000
_FETCH_BYTES: Final = 256 << 10
#: Further behind than this and not catching up with an earlier time: what lies between is skipped.
MOST_BEHIND: Final = 20_000
#: Polls without a record after which Kafka is asked whether it is there: a client that has lost it says nothing.
_QUIET_POLLS: Final = 25
_ANSWER_S: Final = 10.0


class TopicsNow:
    """The records of all partitions of some topics."""

    def __init__(self, bootstrap_servers: str, topics: Sequence[Topic], since_ms: int | None = None) -> None:
        """`since_ms`: begin with the records of that time, ms since 1970; None: with those that come from now on."""
        self._servers, self._topics, self._since_ms = bootstrap_servers, topics, since_ms
        self._partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        #: What was there already when an earlier time was asked for: none of it is skipped.
        self._to_catch_up: dict[TopicPartition, int] = {}
        self._quiet = 0

    async def __aenter__(self) -> Self:
        """Raises Stop when no broker answers or a topic is missing."""
        try:
            await self._consumer.start()
            await self._begin()
        except BaseException as error:
            await self._consumer.stop()
            if isinstance(error, KafkaConnectionError):
                raise unreachable(self._servers, error) from error
            if isinstance(error, KafkaError | TimeoutError):
                raise Stop(str(reaction(error, "finding where to begin"))) from error
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._consumer.stop()

    async def _begin(self) -> None:
        there = await asyncio.wait_for(self._consumer.topics(), _ANSWER_S)
        if missing := [topic.name for topic in self._topics if topic.name not in there]:
            raise Stop(f"topic {missing[0]} is not there; `telemetry topics` creates it")
        self._consumer.assign(self._partitions)
        starts = await asyncio.wait_for(self._consumer.end_offsets(self._partitions), _ANSWER_S)
        if self._since_ms is not None:
            self._to_catch_up = dict(starts)
            asked = dict.fromkeys(self._partitions, self._since_ms)
            found = await asyncio.wait_for(self._consumer.offsets_for_times(asked), _ANSWER_S)
            starts |= {tp: place.offset for tp, place in found.items() if place is not None}
        for tp, offset in starts.items():
            self._consumer.seek(tp, offset)

    async def next(self) -> tuple[list[ConsumerRecord], int]:
        """The records of a moment, maybe none, and how many were skipped.

        Raises:
            RetryAfter: Kafka does not answer; call again.
            Stop: reading is not allowed.
        """
        try:
            skipped = await self._skip_if_behind()  # first: what has been read must not be lost when this fails
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            records = [record for batch in batches.values() for record in batch]
            self._quiet = 0 if records else self._quiet + 1
            if self._quiet > _QUIET_POLLS:
                await asyncio.wait_for(self._consumer.end_offsets(self._partitions[-1:]), _ANSWER_S)
                self._quiet = 0
            return records, skipped
        except (KafkaError, TimeoutError) as error:
            raise reaction(error, "watching") from error

    async def _skip_if_behind(self) -> int:
        positions = {tp: await self._consumer.position(tp) for tp in self._partitions}
        self._to_catch_up = {tp: end for tp, end in self._to_catch_up.items() if positions[tp] < end}
        behind = sum(max(0, (self._consumer.highwater(tp) or 0) - position) for tp, position in positions.items())
        if self._to_catch_up or behind <= MOST_BEHIND:
            return 0
        ends = await asyncio.wait_for(self._consumer.end_offsets(self._partitions), _ANSWER_S)
        for tp, end in ends.items():
            self._consumer.seek(tp, end)
        return sum(max(0, end - positions[tp]) for tp, end in ends.items())
