"""Up to where everything that can bear on a number is durable, in every partition.

Which copy of an event is the first one is decided between partitions. An hour of one partition can be judged for good only up to an
offset such that whatever was appended anywhere before that offset has been folded and stored: else its event's first copy may still
be on the way, and the copy here would be counted for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair_marks import load_all_progress
from pipeline.clickhouse.state import Progress
from pipeline.runtime.clock import Clock
from pipeline.runtime.kafka_errors import reaction
from schemas.partitioning import EVENT_PARTITIONS
from schemas.topics import EVENTS

_ANSWER_TIMEOUT_S: Final = 10.0
_ASK_AGAIN_S: Final = 0.25


class Horizon:
    """Pure. A proposal is the progress of all partitions, and the ends of all logs asked for after it was read; it is settled once
    every partition has come to its end. `settled` is the last proposal for which that was so."""

    def __init__(self) -> None:
        self.settled: Mapping[int, Progress] = {}
        self._proposal: tuple[Mapping[int, Progress], Mapping[int, int]] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a proposal is not settled yet; until then there is no use for another one."""
        return self._proposal is not None

    def propose(self, progress: Mapping[int, Progress], log_ends: Mapping[int, int]) -> None:
        """Propose `progress`; `log_ends` must have been asked for after it was read."""
        self._proposal = (progress, log_ends)
        self.advance(progress)

    def advance(self, progress: Mapping[int, Progress]) -> None:
        """Tell how far the partitions have come by now."""
        if self._proposal is not None:
            proposed, log_ends = self._proposal
            if all(partition in progress and progress[partition].position >= end for partition, end in log_ends.items() if end):
                self.settled, self._proposal = proposed, None

    def unread(self, progress: Mapping[int, Progress]) -> int:
        """How many records the proposal still waits for; 0 when it is settled."""
        log_ends = self._proposal[1] if self._proposal is not None else {}
        positions = {partition: reached.position for partition, reached in progress.items()}
        return sum(max(0, end - positions.get(partition, 0)) for partition, end in log_ends.items())


class TopicEnds:
    """Asks for the ends of all partitions of `events.v1`, outside of any group."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None

    async def ask(self) -> dict[int, int]:
        """By partition, the offset of the next record; 0 where there is no record. Raises RetryAfter when Kafka does not answer."""
        tps = [TopicPartition(EVENTS.name, partition) for partition in range(EVENT_PARTITIONS)]
        try:
            consumer = self._consumer = self._consumer or await self._started()
            starts = await asyncio.wait_for(consumer.beginning_offsets(tps), _ANSWER_TIMEOUT_S)
            ends = await asyncio.wait_for(consumer.end_offsets(tps), _ANSWER_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            raise reaction(error, f"asking for the ends of {EVENTS.name}") from error
        return {tp.partition: ends[tp] if ends[tp] > starts[tp] else 0 for tp in tps}

    async def close(self) -> None:
        """Let go of the connections."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _started(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap_servers, client_id="nutricoach-repair")
        try:
            await asyncio.wait_for(consumer.start(), _ANSWER_TIMEOUT_S)
        except BaseException:
            await consumer.stop()
            raise
        return consumer


async def settle(horizon: Horizon, client: Client, ends: TopicEnds, clock: Clock, within_s: float) -> dict[int, Progress]:
    """Move the horizon on, waiting for at most `within_s`; returns how far the partitions have come. Raises RetryAfter."""
    patience = clock.monotonic() + within_s
    progress = await load_all_progress(client)
    horizon.advance(progress)
    if not horizon.is_waiting:
        horizon.propose(progress, await ends.ask())
    while horizon.is_waiting and clock.monotonic() < patience:
        await asyncio.sleep(_ASK_AGAIN_S)
        progress = await load_all_progress(client)
        horizon.advance(progress)
    return progress
