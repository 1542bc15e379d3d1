"""Refolds whole stale hours from `events_raw`: what came too late for its pane is counted all the same, within a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import structlog
from mode import Service

from pipeline.agents import metrics
from pipeline.agents.flushes import flush_values
from pipeline.agents.outlet import Outlet
from pipeline.agents.rows import pane_row, stale_clear_row
from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.aggregation.watermark import oldest_open, pane_start
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.repair import StoredEvent, first_received_ms, hour_pages, load_hour_panes
from pipeline.clickhouse.state import Progress, load_progress, load_stale_hours
from pipeline.clickhouse.tables import PANES_RAW, STALE_HOURS
from pipeline.runtime.chunk_source import ChunkSource
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message
from schemas.topics import PANES

log: Final = structlog.get_logger(__name__)

INTERVAL_S: Final = 5.0
#: Hours refolded at the same time: their queries overlap, and no more of their events are in memory.
AT_ONCE: Final = 4
#: events_raw drops whole parts at 90 days: an hour whose first record is older may lack some of its events.
OLDEST_REPAIRABLE_MS: Final = 80 * 86_400_000


class Repair(Service):
    """Looks for stale hours of the partitions this worker owns, every few seconds, up to what is durable."""

    def __init__(self, source: ChunkSource, client: Client, outlet: Outlet, clock: Clock) -> None:
        super().__init__(beacon=source.beacon)
        self._source, self._client, self._outlet, self._clock = source, client, outlet, clock
        self._at_once = asyncio.Semaphore(AT_ONCE)

    @Service.task
    async def _repair_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(INTERVAL_S)
            try:
                await asyncio.gather(*(self._repair_partition(tp.partition) for tp in self._source.owned()))
            except RetryAfter as away:
                log.warning("repair waits", reason=str(away))

    async def _repair_partition(self, partition: int) -> None:
        stale = await load_stale_hours(self._client, partition)
        progress = await load_progress(self._client, partition) if stale else None
        if progress is not None:  # what lies below it is durable, whoever wrote it; what is marked beyond waits for it
            durable = [hour_ms for hour_ms, marked_offset in stale.items() if marked_offset < progress.position]
            await asyncio.gather(*(self._repair_hour(partition, progress, hour_ms) for hour_ms in durable))

    async def _repair_hour(self, partition: int, progress: Progress, hour_ms: int) -> None:
        async with self._at_once:
            await self._refold(partition, progress, hour_ms)

    async def _refold(self, partition: int, progress: Progress, hour_ms: int) -> None:
        last_offset = progress.position - 1
        first_ms = await first_received_ms(self._client, partition, hour_ms)
        if first_ms is not None and first_ms < self._clock.now_ms() - OLDEST_REPAIRABLE_MS:
            metrics.REPAIRS.labels("refused").inc()
            log.error("hour is too old to repair: its first events may be gone", partition=partition, hour_ms=hour_ms)
        else:
            stored = await load_hour_panes(self._client, partition, hour_ms)
            panes, open_from_ms = Panes(), oldest_open(progress.watermark_ms)
            async for page in hour_pages(self._client, partition, hour_ms, progress.position):
                refold(panes, page, open_from_ms)
            await self._publish(partition, last_offset, changes(panes, stored, open_from_ms, 2 * last_offset + 1))
            metrics.REPAIRS.labels("late").inc()
        await insert(self._client, STALE_HOURS, stale_clear_row(partition, hour_ms, last_offset), 1)

    async def _publish(self, partition: int, last_offset: int, repaired: list[Snapshot]) -> None:
        if not repaired:
            return
        values = flush_values(partition, last_offset, None, None, repaired)
        await self._outlet.send([Message(PANES.name, key=str(partition).encode(), value=value) for value in values])
        await insert(self._client, PANES_RAW, b",".join(pane_row(partition, snapshot) for snapshot in repaired), len(repaired))
        metrics.REPAIRED_PANES.labels("late").inc(len(repaired))


def refold(panes: Panes, events: Iterable[StoredEvent], open_from_ms: int) -> None:
    """Fold stored first copies, by ascending offset, into the closed panes they belong to; those from `open_from_ms` on are the fold's."""
    for event in events:
        start_ms = pane_start(event.occurred_ms)
        if start_ms < open_from_ms:
            for metric, labels, value in feeds(event.event()):
                panes.fold(start_ms, metric, labels, value, event.offset, event.received_ms)


def changes(panes: Panes, stored: Iterable[Snapshot], open_from_ms: int, version: int) -> list[Snapshot]:
    """What must be written so that the closed panes of an hour are what was refolded.

    Args:
        panes: the hour, refolded.
        stored: the newest snapshots there are of the hour; a series without events any more becomes zero.
        open_from_ms: panes from here on belong to the fold.
        version: of the snapshots returned.
    """
    right = {_key(snapshot): snapshot for snapshot in panes.all(version)}
    before = {_key(snapshot): snapshot for snapshot in stored if snapshot.start_ms < open_from_ms}
    gone = [_emptied(snapshot, version) for key, snapshot in before.items() if key not in right and snapshot.count]
    return [snapshot for key, snapshot in right.items() if _content(snapshot) != _content(before.get(key))] + gone


def _key(snapshot: Snapshot) -> tuple[Any, ...]:
    return snapshot.start_ms, snapshot.metric, snapshot.labels


def _content(snapshot: Snapshot | None) -> tuple[Any, ...] | None:
    return None if snapshot is None else (snapshot.count, snapshot.sum_millionths, snapshot.buckets)


def _emptied(snapshot: Snapshot, version: int) -> Snapshot:
    return Snapshot(
        metric=snapshot.metric,
        labels=snapshot.labels,
        start_ms=snapshot.start_ms,
        count=0,
        sum_millionths=0,
        buckets={},
        last_offset=snapshot.last_offset,
        first_received_ms=snapshot.first_received_ms,
        version=version,
    )
