"""What the alerter has seen of `panes.v1`: the newest snapshot of every pane, and how far each partition's numbers are complete.

The order of flushes, repeats of them and older versions make no difference to what a board says.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from alerting.engine.measure import Added, Measure, MeasureKey, PaneSeries, pane_of
from alerting.engine.series import Series
from schemas.pane import Flush, Pane
from schemas.timestamps import to_ms

#: `caught_up_at` may run ahead of an event that is still on its way to the broker; so much is taken off (contract of `panes.v1`).
CAUGHT_UP_ALLOWANCE_MS: Final = 2_000
#: Beyond what rules look back, panes are kept for windows that ended so long ago (15 min still page, 10 min a clock may be ahead).
LATE_MS: Final = 1_800_000
#: A partition that has not flushed for so long, by the timestamps of the log, has stalled; it flushes every 2 s.
STALLED_AFTER_MS: Final = 10_000
#: Series that nothing comes for are looked for every so many panes.
_FORGET_EVERY: Final = 60

Touched = dict[Measure, dict[Series, set[int]]]
_NO_BUCKETS: Final[Mapping[int, int]] = {}


class StoredPanes(NamedTuple):
    """Snapshots of one series in one source partition, as ClickHouse has them, column by column; `buckets` may be empty."""

    source_partition: int
    metric: str
    labels: Mapping[str, str]
    starts_ms: Sequence[int]
    versions: Sequence[int]
    counts: Sequence[int]
    sums: Sequence[int]
    buckets: Sequence[Mapping[int, int]]


class _Cell:
    """What one partition has said of one metric in one pane, by series; columns instead of objects, for there are millions."""

    __slots__ = ("buckets", "counts", "rows", "sums", "versions")

    def __init__(self) -> None:
        self.rows: dict[PaneSeries, int] = {}
        self.versions, self.counts, self.sums = array("q"), array("q"), array("q")
        self.buckets: dict[int, Mapping[int, int]] = {}

    def newer(self, series: PaneSeries, version: int, count: int, total: int, buckets: Mapping[int, int]) -> Added | None:
        """Keep the snapshot; how much more it has than the one before. None when it is not newer."""
        row = self.rows.get(series)
        if row is None:
            row = self.rows[series] = len(self.rows)
            self.versions.append(version)
            self.counts.append(count)
            self.sums.append(total)
            if buckets:
                self.buckets[row] = buckets
            return count, total, buckets
        if version <= self.versions[row]:
            return None
        more = (count - self.counts[row], total - self.sums[row])
        self.versions[row], self.counts[row], self.sums[row] = version, count, total
        before = self.buckets.get(row, _NO_BUCKETS)
        if before == buckets:
            return *more, _NO_BUCKETS
        self.buckets[row] = buckets
        return *more, {b: n for b in before.keys() | buckets.keys() if (n := buckets.get(b, 0) - before.get(b, 0))}


class _MetricPanes:
    """The panes of one metric, and what is measured of them."""

    def __init__(self) -> None:
        self.measures: list[Measure] = []
        self.series: dict[tuple[tuple[str, str], ...], PaneSeries] = {}
        self.cells: dict[int, dict[int, _Cell]] = {}  # pane → partition → cell
        self.newest: int | None = None
        self.kept = 0
        self.with_buckets = False
        self._forgotten_at = 0

    @property
    def oldest(self) -> int:
        return 0 if self.newest is None else self.newest - self.kept + 1

    def reach(self, pane: int) -> None:
        if self.newest is not None and pane <= self.newest:
            return
        self.newest = pane
        for measure in self.measures:
            measure.reach(pane)
        for old in [old for old in self.cells if old < self.oldest]:
            del self.cells[old]
        if pane - self._forgotten_at >= _FORGET_EVERY:
            self._forgotten_at = pane
            self._forget()

    def cell(self, pane: int, partition: int) -> _Cell:
        cells = self.cells.get(pane)
        if cells is None:
            cells = self.cells[pane] = {}
        cell = cells.get(partition)
        if cell is None:
            cell = cells[partition] = _Cell()
        return cell

    def series_of(self, labels: Mapping[str, str]) -> PaneSeries:
        key = tuple(sorted(labels.items()))
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = PaneSeries(labels, self.measures)
        return series

    def _forget(self) -> None:
        used = {series for cells in self.cells.values() for cell in cells.values() for series in cell.rows}
        for key in [key for key, series in self.series.items() if series not in used]:
            self.series.pop(key).forget()
        for measure in self.measures:
            measure.forget()


class Board:
    """Panes of `partitions` source partitions, as far as something `measured` (with how far one looks back, in ms) needs them."""

    def __init__(self, measured: Mapping[MeasureKey, int], partitions: int) -> None:
        self.partitions = range(partitions)
        self.last_offsets = (-1,) * partitions
        self.watermark_ms: int | None = None  # the lowest effective one of all partitions; None while one is unknown
        self.measures: dict[MeasureKey, Measure] = {}
        self._watermarks: dict[int, int] = {}
        self._flushed_ms: dict[int, int] = {}
        self._metrics: dict[str, _MetricPanes] = {}
        self._touched: list[Touched] = [{} for _ in self.partitions]
        for key, lookback_ms in measured.items():
            self._measure(key, pane_of(lookback_ms + LATE_MS))

    def fold(self, flush: Flush, at_ms: int) -> None:
        """Take in one flush of the log at `at_ms`: panes that are newer than what is here, the offset, and how far the partition is."""
        partition = flush.source_partition
        self._flushed_ms[partition] = max(at_ms, self._flushed_ms.get(partition, at_ms))
        for pane in flush.panes:
            if (metric := self._metrics.get(pane.metric)) is not None:
                self._keep_newer(metric, partition, pane)
        reached = [to_ms(flush.watermark)] if flush.watermark is not None else []
        reached += [to_ms(flush.caught_up_at) - CAUGHT_UP_ALLOWANCE_MS] if flush.caught_up_at is not None else []
        if reached:
            offset = max(self.last_offsets[partition], flush.last_offset)
            self.last_offsets = (*self.last_offsets[:partition], offset, *self.last_offsets[partition + 1 :])
            self._watermarks[partition] = max(self._watermarks.get(partition, 0), *reached)
            if len(self._watermarks) == len(self.partitions):
                self.watermark_ms = min(self._watermarks.values())

    def fold_stored(self, stored: StoredPanes) -> None:
        """Take in what is newer of panes that were stored. It says nothing of how far the partition is, nor is anything touched by it."""
        if (metric := self._metrics.get(stored.metric)) is None or not stored.starts_ms:
            return
        metric.reach(pane_of(max(stored.starts_ms)))
        series, partition, added = metric.series_of(stored.labels), stored.source_partition, []
        all_buckets = stored.buckets if stored.buckets and metric.with_buckets else repeat(_NO_BUCKETS, len(stored.starts_ms))
        columns = (stored.starts_ms, stored.versions, stored.counts, stored.sums, all_buckets)
        for start_ms, version, count, total, buckets in zip(*columns, strict=True):
            if (number := pane_of(start_ms)) >= metric.oldest:
                more = metric.cell(number, partition).newer(series, version, count, total, buckets)
                if more is not None:
                    added.append((number, *more))
        for feed in series.feeds:
            feed.measure.add_all(feed, partition, [one for one in added if one[0] >= feed.measure.oldest()])

    def effective_watermark_ms(self, partition: int) -> int | None:
        """Event time up to which the partition's numbers are complete; None before it has said so."""
        return self._watermarks.get(partition)

    def flushed_ms(self, partition: int) -> int | None:
        """When the partition flushed last, by the log."""
        return self._flushed_ms.get(partition)

    def missing(self, up_to_ms: int) -> tuple[int, ...]:
        """Partitions whose numbers are not complete up to that event time."""
        watermarks = self._watermarks
        return tuple(partition for partition in self.partitions if watermarks.get(partition, -1) < up_to_ms)

    def stalled(self, now_ms: int = 0) -> tuple[int, ...]:
        """Partitions that have flushed, and not in the last 10 s before the newest flush of any, or before `now_ms`."""
        newest_ms = max([now_ms, *self._flushed_ms.values()])
        return tuple(sorted(p for p, at_ms in self._flushed_ms.items() if newest_ms - at_ms > STALLED_AFTER_MS))

    def take_touched(self, partition: int) -> Touched:
        """What the partition's panes changed since the last call: by measure, the panes of each series."""
        touched, self._touched[partition] = self._touched[partition], {}
        return touched

    def events_by_partition(self, measure: Measure, series: Series, from_pane: int, to_pane: int) -> list[int]:
        """How many events of the series each partition has brought."""
        counted = measure.events_by_partition(series, from_pane, to_pane)
        if counted is not None:
            return counted
        counts = [0] * len(self.partitions)
        fed_by = measure.fed_by.get(measure.rows.get(series, -1), set())
        for partition, cell in self._cells(measure, from_pane, to_pane):
            counts[partition] += sum(cell.counts[row] for one in fed_by if (row := cell.rows.get(one)) is not None)
        return counts

    def all_events_by_partition(self, measure: Measure, from_pane: int, to_pane: int) -> dict[Series, list[int]]:
        """The same of all series at once: for many of them it is cheaper to go through the panes once."""
        counts: dict[Series, list[int]] = {series: [0] * len(self.partitions) for series in measure.rows}
        feeds: dict[PaneSeries, list[int]] = {}
        for series, row in measure.rows.items():
            feeds.update(dict.fromkeys(measure.fed_by[row], counts[series]))
        for partition, cell in self._cells(measure, from_pane, to_pane):
            for one, row in cell.rows.items():
                if (of_series := feeds.get(one)) is not None:
                    of_series[partition] += cell.counts[row]
        return counts

    def _cells(self, measure: Measure, from_pane: int, to_pane: int) -> Iterator[tuple[int, _Cell]]:
        cells = self._metrics[_metric_of(measure.key)].cells
        for pane in range(from_pane, to_pane):
            yield from cells.get(pane, {}).items()

    def _measure(self, key: MeasureKey, panes: int) -> None:
        metric = self._metrics.setdefault(_metric_of(key), _MetricPanes())
        self.measures[key] = measure = Measure(key, len(self.partitions), panes)
        metric.measures.append(measure)
        metric.kept = max(metric.kept, panes)
        metric.with_buckets |= measure.is_quantile

    def _keep_newer(self, metric: _MetricPanes, partition: int, pane: Pane) -> None:
        number = pane_of(to_ms(pane.start))
        metric.reach(number)
        if number < metric.oldest:
            return
        series, buckets = metric.series_of(pane.labels), pane.buckets if metric.with_buckets else _NO_BUCKETS
        more = metric.cell(number, partition).newer(series, pane.version, pane.count, pane.sum, buckets)
        if more is None:
            return
        touched = self._touched[partition]
        for feed in series.feeds:
            if number >= feed.measure.oldest():
                feed.measure.add(feed, partition, number, *more)
                touched.setdefault(feed.measure, {}).setdefault(feed.series, set()).add(number)


def _metric_of(key: MeasureKey) -> str:
    assert key.quantity.metric is not None, "a quantity without a metric has no panes"
    return key.quantity.metric.name
