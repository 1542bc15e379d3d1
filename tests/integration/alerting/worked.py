"""What workers leave behind of a stretch of time: flushes on `panes.v1`, rows in ClickHouse, made with the code of the worker."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer

from pipeline.agents.effects import PaneKey, Progress
from pipeline.agents.flushes import flush_values
from pipeline.agents.rows import pane_rows, progress_row
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.tables import PANES_RAW, PARTITION_PROGRESS
from schemas.pane import PANE_MS
from schemas.partitioning import EVENT_PARTITIONS
from schemas.topics import PANES


@dataclass
class Partition:
    """One partition of events.v1 as far as its worker has come."""

    number: int
    panes: Panes = field(default_factory=Panes)
    last_offset: int = -1

    def menu(self, at_ms: int, outcome: str = "full", took_ms: float = 1_000.0) -> None:
        """One menu that occurred at `at_ms`, with the event that told of it."""
        self.last_offset += 1
        for metric, labels, value in (
            ("menu_generation", ("ollama", outcome), took_ms),
            ("events", ("menu_generated", "menu-api"), None),
        ):
            self.panes.fold(at_ms // PANE_MS * PANE_MS, metric, labels, value, self.last_offset, at_ms)


@dataclass(frozen=True)
class Stored:
    """What ClickHouse has at some moment: the newest snapshot of each pane, and the last offset of each partition."""

    panes: Mapping[PaneKey, Snapshot]
    last_offsets: Mapping[int, int]

    def without(self, partition: int, from_offset: int) -> Stored:
        """The same before the rows of a partition from `from_offset` on were written."""
        panes = {key: pane for key, pane in self.panes.items() if key[0] != partition or pane.last_offset < from_offset}
        return Stored(panes, {**self.last_offsets, partition: from_offset - 1})

    async def write(self, client: Client) -> None:
        """Make this what the tables hold, and nothing else."""
        for table in (PANES_RAW, PARTITION_PROGRESS):
            await client.command(f"TRUNCATE TABLE {table.name}")
        await insert(client, PANES_RAW, encode(list(pane_rows(self.panes))), len(self.panes))
        progress = [progress_row(Progress(partition, last + 1, 0), 0) for partition, last in self.last_offsets.items()]
        await insert(client, PARTITION_PROGRESS, encode(progress), len(progress))


@dataclass
class Workers:
    """Twelve partitions; `written` records are on `panes.v1`."""

    producer: AIOKafkaProducer
    partitions: list[Partition] = field(default_factory=lambda: [Partition(number) for number in range(EVENT_PARTITIONS)])
    written: int = 0
    _panes: dict[PaneKey, Snapshot] = field(default_factory=dict)

    async def flush(self, partition: Partition, at_ms: int) -> None:
        """Publish what has changed."""
        changed = partition.panes.changed()
        await self._publish(
            partition, flush_values(partition.number, partition.last_offset, at_ms - 1_000, at_ms - 500, changed), changed, at_ms
        )

    async def repair(self, partition: Partition, snapshot: Snapshot, at_ms: int) -> None:
        """Publish what a pane should have been."""
        await self._publish(partition, flush_values(partition.number, partition.last_offset, None, None, [snapshot]), [snapshot], at_ms)

    def stored(self) -> Stored:
        """All that has been published."""
        return Stored(dict(self._panes), {partition.number: partition.last_offset for partition in self.partitions})

    async def _publish(self, partition: Partition, values: list[bytes], panes: Iterable[Snapshot], at_ms: int) -> None:
        for value in values:
            await self.producer.send(PANES.name, value, key=b"%d" % partition.number, timestamp_ms=at_ms)
            self.written += 1
        self._panes |= {(partition.number, pane.start_ms, pane.metric, pane.labels): pane for pane in panes}


def failures(partition: Partition, at_ms: int, count: int) -> Snapshot:
    """The pane of failed menus at `at_ms`, as a repair makes it: with `count` of them."""
    version, start_ms = 2 * partition.last_offset + 1, at_ms // PANE_MS * PANE_MS
    return Snapshot("menu_generation", ("ollama", "failed"), start_ms, count, count * 10**9, {320: count}, 0, at_ms, version)


def busy(workers: Workers, at_ms: int, chance: random.Random) -> None:
    """Some menus of the ten seconds before `at_ms`, one of them in a hundred failed; some events come late, by up to 20 minutes."""
    for partition in workers.partitions:
        for _ in range(2):
            late_ms = chance.choice((0,) * 17 + (120_000, 600_000, 1_200_000))
            partition.menu(
                at_ms - 1_000 - late_ms, chance.choices(("full", "degraded", "failed"), (96, 3, 1))[0], chance.uniform(500, 20_000)
            )
