"""What the alerter has seen of `panes.v1`: the newest snapshot of every pane, and how far each partition's numbers are complete.

The order of flushes, repeats of them and older versions make no difference to what a board says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from alerting.engine.condition import Comparison
from schemas.pane import MILLIONTHS, PANE_MS, Flush, Pane
from schemas.timestamps import to_ms

#: `caught_up_at` may run ahead of an event that is still on its way to the broker; so much is taken off (contract of `panes.v1`).
CAUGHT_UP_ALLOWANCE_MS: Final = 2_000
#: Panes kept behind a partition's own watermark: the longest window, and room for partitions that are not level.
MEMORY_MS: Final = 4_200_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Numerator and denominator of a quantity over some panes, exact: events, or millionths of the unit over events."""

    numerator: int = 0
    denominator: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.numerator + other.numerator, self.denominator + other.denominator)


class _Series(NamedTuple):
    metric: str
    labels: tuple[tuple[str, str], ...]


class _Snapshot(NamedTuple):
    version: int
    events: int
    millionths: int


class _Cell:
    """The series of one partition's panes with one start, and what they add up to, by text of the comparison."""

    __slots__ = ("series", "tallies")

    def __init__(self) -> None:
        self.series: dict[_Series, _Snapshot] = {}
        self.tallies: dict[str, Tally] = {}


class Board:
    """Panes of `metrics` over `partitions` source partitions. `complete_from_ms`: event time before which panes may be missing."""

    def __init__(self, metrics: Iterable[str], partitions: int, complete_from_ms: int = 0) -> None:
        self.partitions = range(partitions)
        self.last_offsets = [-1] * partitions
        self.complete_from_ms = complete_from_ms
        self._metrics = frozenset(metrics)
        self._watermarks: dict[int, int] = {}
        self._cells: list[dict[int, _Cell]] = [{} for _ in self.partitions]  # partition → start of pane → cell
        self._touched: list[set[int]] = [set() for _ in self.partitions]
        self._known_series: dict[_Series, _Series] = {}

    def fold(self, flush: Flush) -> None:
        """Take in one flush: every pane that is newer than what is here, the offset, and the watermark if it carries one."""
        partition = flush.source_partition
        for pane in flush.panes:
            if pane.metric in self._metrics:
                self._keep_newer(partition, pane)
        reached = [to_ms(flush.watermark)] if flush.watermark is not None else []
        reached += [to_ms(flush.caught_up_at) - CAUGHT_UP_ALLOWANCE_MS] if flush.caught_up_at is not None else []
        if reached:
            self.last_offsets[partition] = max(self.last_offsets[partition], flush.last_offset)
            self._advance(partition, max(reached))

    def effective_watermark_ms(self, partition: int) -> int | None:
        """Event time up to which the partition's numbers are complete; None before it has said so."""
        return self._watermarks.get(partition)

    @property
    def watermark_ms(self) -> int | None:
        """The lowest effective watermark of all partitions; None while one is unknown."""
        return min(self._watermarks.values()) if len(self._watermarks) == len(self.partitions) else None

    def missing(self, window_from_ms: int, up_to_ms: int) -> list[int]:
        """Partitions that have not reached `up_to_ms`, or are so far beyond that their panes of the window are forgotten."""
        return [
            partition for partition in self.partitions if not up_to_ms <= self._watermarks.get(partition, -1) <= window_from_ms + MEMORY_MS
        ]

    def take_touched(self, partition: int) -> set[int]:
        """Starts of the partition's panes that changed since the last call."""
        touched, self._touched[partition] = self._touched[partition], set()
        return touched

    def tally(self, comparison: Comparison, window_from_ms: int, window_to_ms: int) -> list[Tally]:
        """The quantity over [window_from_ms, window_to_ms), by partition; bounds are starts of panes."""
        starts = range(window_from_ms, window_to_ms, PANE_MS)
        return [
            sum((_tally(comparison, cell) for start in starts if (cell := cells.get(start)) is not None), Tally()) for cells in self._cells
        ]

    def _keep_newer(self, partition: int, pane: Pane) -> None:
        start = to_ms(pane.start)
        if start < self._watermarks.get(partition, 0) - MEMORY_MS:
            return
        series = _Series(pane.metric, tuple(sorted(pane.labels.items())))
        series = self._known_series.setdefault(series, series)
        cell = self._cells[partition].setdefault(start, _Cell())
        known = cell.series.get(series)
        if known is None or pane.version > known.version:
            cell.series[series] = _Snapshot(pane.version, pane.count, pane.sum)
            cell.tallies.clear()
            self._touched[partition].add(start)

    def _advance(self, partition: int, reached_ms: int) -> None:
        before = self._watermarks.get(partition, 0)
        self._watermarks[partition] = max(before, reached_ms)
        if reached_ms // PANE_MS > before // PANE_MS:
            cells = self._cells[partition]
            for start in [start for start in cells if start < reached_ms - MEMORY_MS]:
                del cells[start]


def scale(comparison: Comparison) -> int:
    """What a tally's numerator is divided by to be in the quantity's unit: sums are in millionths, counts are not."""
    return MILLIONTHS if comparison.quantity.kind == "mean" else 1


def _tally(comparison: Comparison, cell: _Cell) -> Tally:
    if comparison.text not in cell.tallies:
        cell.tallies[comparison.text] = _add_up(comparison, cell)
    return cell.tallies[comparison.text]


def _add_up(comparison: Comparison, cell: _Cell) -> Tally:
    metric = comparison.quantity.metric
    assert metric is not None, "a quantity without a metric has no panes"
    numerator = denominator = 0
    for series, snapshot in cell.series.items():
        labels = dict(series.labels)
        if series.metric != metric.name or any(labels.get(name) != value for name, value in comparison.labels):
            continue
        if comparison.quantity.kind == "mean":
            numerator, denominator = numerator + snapshot.millionths, denominator + snapshot.events
            continue
        numerator += snapshot.events if metric.is_error(labels) else 0
        denominator += snapshot.events if metric.is_in_total(labels) else 0
    return Tally(numerator, denominator)
