"""Loads the state of a partition from ClickHouse, waiting while that is away."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.repeats import WINDOW_OFFSETS, RepeatWindow
from pipeline.aggregation.watermark import oldest_open
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import Progress, load_counted, load_panes, load_progress
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.resume import Resume

log: Final = structlog.get_logger(__name__)


class Loader:
    """`waiting_for` is why ClickHouse gives some partition no state at the moment, None when none waits."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._reasons: dict[int, str] = {}

    @property
    def waiting_for(self) -> str | None:
        return next(iter(self._reasons.values()), None)

    async def load(self, resume: Resume) -> PartitionState:
        """The state to go on with, at min(committed, progress). Raises Stop when ClickHouse lacks what Kafka says it has."""
        partition = resume.tp.partition
        try:
            while True:
                try:
                    return await self._load(resume)
                except RetryAfter as away:
                    if partition not in self._reasons:
                        log.warning("state cannot be loaded yet", partition=partition, reason=str(away))
                    self._reasons[partition] = str(away)
                    await asyncio.sleep(away.seconds)
        finally:
            self._reasons.pop(partition, None)

    async def _load(self, resume: Resume) -> PartitionState:
        partition = resume.tp.partition
        progress = await load_progress(self._client, partition)
        position = resume_position(resume, progress)
        if progress is None:
            return PartitionState(partition, position, 0, Panes(), RepeatWindow())
        panes = Panes(await load_panes(self._client, partition, oldest_open(progress.watermark_ms)))
        counted = await load_counted(self._client, partition, position - WINDOW_OFFSETS, position)
        repeats = RepeatWindow()
        repeats.load(counted.event_ids, counted.offsets, counted.content_hashes, position)
        return PartitionState(partition, position, progress.watermark_ms, panes, repeats)


def resume_position(resume: Resume, progress: Progress | None) -> int:
    """min(committed, progress): what lies below is durable by both accounts.

    Raises Stop when records were committed and ClickHouse does not know of them: it was emptied, or is another one.
    """
    if progress is None:
        if resume.committed is not None and resume.committed > resume.log_start:
            name = f"{resume.tp.topic}-{resume.tp.partition}"
            raise Stop(
                f"{name}: offset {resume.committed} is committed, but partition_progress has no row: ClickHouse was emptied or is "
                "another one; restore it, or reset the group to read the log again"
            )
        return resume.log_start
    return progress.position if resume.committed is None else min(resume.committed, progress.position)
