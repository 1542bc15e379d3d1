"""Repairs what came too late for its pane, and audits hours that have closed: in the end every number is what the events say."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from mode import Service

from pipeline.agents import metrics
from pipeline.agents.audit import due, in_slices
from pipeline.agents.outlet import Outlet
from pipeline.agents.repair_horizon import Horizon, TopicEnds, settle
from pipeline.agents.repair_hours import causes, compare, in_batches, write
from pipeline.agents.repair_panes import OLDEST_REPAIRABLE_MS
from pipeline.agents.rows import audited_row, stale_clear_row
from pipeline.aggregation.watermark import hour_of
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.repair_check import differing_hours
from pipeline.clickhouse.repair_marks import STALE_AT_ONCE, load_audited, load_stale
from pipeline.clickhouse.state import Progress
from pipeline.clickhouse.tables import HOUR_AUDITS, STALE_HOURS
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.settings import Settings

log: Final = structlog.get_logger(__name__)

INTERVAL_S: Final = 5.0
#: So long a round waits for other partitions; usually they are a fraction of a second behind.
SETTLE_WITHIN_S: Final = 2.0
#: Groups of hours refolded at the same time: their queries overlap, and no more of their events are in memory.
AT_ONCE: Final = 2
#: Slices audited in one round; what has become stale meanwhile comes before the next.
SLICES_AT_ONCE: Final = 8
#: An audit reads millions of rows on one core.
_READ_TIMEOUT_S: Final = 120


class Repair(Service):
    """Repairs and audits the partitions this worker owns, every few seconds, over a connection of its own.

    Whoever else does the same at the same time, a worker that lost the partition without knowing or `telemetry reconcile`, does no harm:
    what is written is versioned by the offset it was read up to.
    """

    def __init__(self, owned: Callable[[], Collection[int]], settings: Settings, outlet: Outlet, clock: Clock, **service: Any) -> None:
        """`owned` says of which partitions this worker takes care at the moment."""
        super().__init__(**service)
        self._owned, self._outlet, self._clock = owned, outlet, clock
        self._client = Client(settings.clickhouse, read_timeout_s=_READ_TIMEOUT_S)
        self._ends = TopicEnds(settings.kafka.bootstrap_servers)
        self._horizon = Horizon()
        self._repaired_early: dict[tuple[int, int], int] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def on_stop(self) -> None:
        await self._ends.close()
        await self._client.close()

    @Service.task
    async def _repair_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(INTERVAL_S)
            try:
                await self.once(self._owned())
            except RetryAfter as away:
                log.warning("repair waits", reason=str(away))

    async def once(self, owned: Collection[int]) -> None:
        """Repair what is stale of the partitions `owned`, and audit what has closed. Raises RetryAfter when a server is away."""
        if owned:
            progress = await settle(self._horizon, self._client, self._ends, self._clock, SETTLE_WITHIN_S)
            if await self._repair_stale(owned, progress):
                await self._audit(owned, progress)

    async def _repair_stale(self, owned: Collection[int], progress: Mapping[int, Progress]) -> bool:
        """Repair hours that are marked; returns whether that was all of them.

        A mark is cleared once everything is known that was appended before it. Until then the hour is repaired with what is there, once
        per mark: nobody should wait for another partition's backlog.
        """
        marks = await load_stale(self._client, owned)
        self._repaired_early = {key: marked for key, marked in self._repaired_early.items() if marks.get(key) == marked}
        hours: dict[int, list[int]] = defaultdict(list)
        for (partition, hour_ms), marked in marks.items():
            is_stored = partition in progress and marked < progress[partition].position
            if is_stored and ((partition, hour_ms) not in self._repaired_early or self._is_settled(partition, marked)):
                hours[partition].append(hour_ms)
        await self._refold(hours, progress, marks)
        return len(marks) < STALE_AT_ONCE

    def _is_settled(self, partition: int, offset: int) -> bool:
        return partition in self._horizon.settled and offset < self._horizon.settled[partition].position

    async def _audit(self, owned: Collection[int], progress: Mapping[int, Progress]) -> None:
        spans = due(owned, self._horizon.settled, await load_audited(self._client), progress)
        if not spans:
            return
        for part in (await in_slices(self._client, spans))[:SLICES_AT_ONCE]:
            hours: dict[int, list[int]] = defaultdict(list)
            for partition, hour_ms in await differing_hours(self._client, part, self._clock.now_ms() - OLDEST_REPAIRABLE_MS):
                hours[partition].append(hour_ms)
            await self._refold(hours, progress)
            rows = [audited_row(partition, span.to_ms) for partition, span in part.items()]
            await insert(self._client, HOUR_AUDITS, encode(rows), len(rows))

    async def _refold(
        self, hours: Mapping[int, Sequence[int]], progress: Mapping[int, Progress], marks: Mapping[tuple[int, int], int] | None = None
    ) -> None:
        """Repair hours, by partition; `marks` are those on them when late events are the cause, and are cleared."""

        async def together(partition: int, hours_ms: Sequence[int]) -> None:
            async with self._at_once:
                await self._repair_hours(partition, progress[partition], hours_ms, late=marks is not None)
                if marks is not None:
                    await self._clear(partition, {hour_ms: marks[partition, hour_ms] for hour_ms in hours_ms})

        groups = [
            (partition, hours_ms)
            for partition, all_ms in hours.items()
            for hours_ms in await in_batches(self._client, partition, sorted(all_ms))
        ]
        await asyncio.gather(*(together(partition, hours_ms) for partition, hours_ms in groups))

    async def _repair_hours(self, partition: int, progress: Progress, hours_ms: Sequence[int], *, late: bool) -> None:
        compared = await compare(self._client, partition, progress, hours_ms, self._clock.now_ms() - OLDEST_REPAIRABLE_MS)
        found = compared.differences
        by_cause = {"late": found} if late else {**await causes(self._client, partition, hours_ms, found)}
        await write(self._client, self._outlet.send, partition, progress, found)
        for cause, repaired in by_cause.items():
            in_hours = {hour_of(difference.right.start_ms) for difference in repaired}
            metrics.REPAIRS.labels(cause).inc(len(in_hours))
            metrics.REPAIRED_PANES.labels(cause).inc(len(repaired))
            if not late:
                log.warning("closed hours were not what their events say", partition=partition, cause=cause, panes=len(repaired))
        if compared.refused:
            metrics.REPAIRS.labels("refused").inc(len(compared.refused))
            log.error(
                "hours are not repaired: too old, or with events that this version cannot fold",
                partition=partition,
                hours_ms=compared.refused[:10],
            )

    async def _clear(self, partition: int, marks: Mapping[int, int]) -> None:
        settled = {hour_ms: marked for hour_ms, marked in marks.items() if self._is_settled(partition, marked)}
        if settled:
            read = self._horizon.settled[partition].position - 1
            rows = [stale_clear_row(partition, hour_ms, read) for hour_ms in settled]
            await insert(self._client, STALE_HOURS, encode(rows), len(rows))
        self._repaired_early |= {(partition, hour_ms): marked for hour_ms, marked in marks.items() if hour_ms not in settled}
