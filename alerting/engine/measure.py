"""What one comparison needs of the panes: its numbers by series and pane, added up as panes come, so that a window is one slice.

Columns are panes, in a ring: those that fall out of the memory make room for new ones. Numbers are exact: events, or millionths of the
unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerting.engine.condition import Comparison, Selector
from alerting.engine.quantity import Quantity, passes
from alerting.engine.series import Series, series_of
from schemas.pane import MILLIONTHS, PANE_MS, ZERO_BUCKET

Counts = NDArray[np.int64]
Buckets = dict[int, int]
#: What a snapshot has more than the one before: events, millionths of the unit, histogram.
Added = tuple[int, int, Mapping[int, int]]

#: By partition, too, while there are so few series; it is asked only where partitions are missing.
_SERIES_BY_PARTITION: Final = 256
_BUCKETS_PER_DOUBLING: Final = 32


@dataclass(frozen=True, slots=True)
class Tally:
    """Numerator and denominator of a quantity over some panes, exact: events, or millionths of the unit over events."""

    numerator: int = 0
    denominator: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.numerator + other.numerator, self.denominator + other.denominator)


class MeasureKey(NamedTuple):
    """Comparisons with the same key share their numbers."""

    quantity: Quantity
    selectors: tuple[Selector, ...]
    by: tuple[str, ...]

    @classmethod
    def of(cls, comparison: Comparison, by: Iterable[str]) -> MeasureKey:
        return cls(comparison.quantity, comparison.selectors, tuple(sorted(by)))


class Feed(NamedTuple):
    """A series of panes feeds a series of a measure, in `row`, and perhaps the numerator too."""

    measure: Measure
    series: Series
    row: int
    in_numerator: bool


class PaneSeries:
    """One combination of labels of a metric, and what its panes feed."""

    __slots__ = ("feeds",)

    def __init__(self, labels: Mapping[str, str], measures: Iterable[Measure]) -> None:
        self.feeds = tuple(feed for measure in measures if (feed := measure.feed_of(labels)) is not None)
        for feed in self.feeds:
            feed.measure.fed_by[feed.row].add(self)

    def forget(self) -> None:
        """Nothing of it is in memory any more."""
        for feed in self.feeds:
            feed.measure.fed_by[feed.row].discard(self)


@dataclass(slots=True)
class _Slide:
    """Summed buckets of a window, which are cheaper to move than to add up again."""

    from_pane: int
    to_pane: int
    buckets: Buckets = field(default_factory=dict)


class Measure:
    """The series of one key. Panes are counted by `start // PANE_MS`; `panes` of them are remembered."""

    def __init__(self, key: MeasureKey, partitions: int, panes: int) -> None:
        self.key = key
        self.partitions = partitions
        self.panes = panes
        self.rows: dict[Series, int] = {}
        self.fed_by: dict[int, set[PaneSeries]] = {}
        self._free: list[int] = []
        self._newest: int | None = None
        # By pane in a ring, then by row: what nobody has written to yet takes no memory.
        self._numerators: Counts = np.zeros((panes, 1), np.int64)
        self._denominators: Counts = np.zeros((panes, 1), np.int64)
        self._by_partition: Counts | None = np.zeros((panes, partitions, 1), np.int64)
        self._buckets: list[dict[int, Buckets]] = []  # row → pane → histogram; of quantiles only
        self._slides: dict[tuple[int, int], _Slide] = {}

    @property
    def is_quantile(self) -> bool:
        return self.key.quantity.kind == "quantile"

    def oldest(self) -> int:
        """The oldest pane that is remembered."""
        return 0 if self._newest is None else self._newest - self.panes + 1

    def feed_of(self, labels: Mapping[str, str]) -> Feed | None:
        """Where panes with these labels are counted; None when they are not selected."""
        quantity = self.key.quantity
        if not passes(labels, quantity.denominator) or not all(selector.selects(labels) for selector in self.key.selectors):
            return None
        series = series_of(labels, self.key.by)
        return Feed(self, series, self._row(series), quantity.kind == "mean" or passes(labels, quantity.numerator))

    def reach(self, pane: int) -> None:
        """Make room for panes up to `pane`."""
        if self._newest is None or pane - self._newest >= self.panes:
            gone = list(range(self.panes)) if self._newest is not None else []
        else:
            gone = [index % self.panes for index in range(self._newest + 1, pane + 1)]
        if gone:
            for counts in (self._numerators, self._denominators, self._by_partition):
                if counts is not None:
                    counts[gone, ..., : len(self.rows) + len(self._free)] = 0
        self._newest = max(pane, self._newest or pane)

    def add(self, feed: Feed, partition: int, pane: int, count: int, millionths: int, buckets: Mapping[int, int]) -> None:
        """Count what a pane within the memory has more, or less, than before."""
        place = pane % self.panes
        quantity = self.key.quantity
        if quantity.kind == "quantile":
            count = sum(buckets.values())
            self._add_buckets(feed.row, pane, buckets)
        if feed.in_numerator:
            self._numerators[place, feed.row] += millionths if quantity.kind == "mean" else count
        self._denominators[place, feed.row] += count
        if self._by_partition is not None:
            self._by_partition[place, partition, feed.row] += count

    def add_all(self, feed: Feed, partition: int, added: Sequence[tuple[int, int, int, Mapping[int, int]]]) -> None:
        """The same of many panes, each of them once."""
        if self.key.quantity.kind == "quantile":
            for one in added:
                self.add(feed, partition, *one)
            return
        columns = np.array([one[:3] for one in added], np.int64).reshape(-1, 3)
        places, counts, millionths = columns[:, 0] % self.panes, columns[:, 1], columns[:, 2]
        if feed.in_numerator:
            self._numerators[places, feed.row] += millionths if self.key.quantity.kind == "mean" else counts
        self._denominators[places, feed.row] += counts
        if self._by_partition is not None:
            self._by_partition[places, partition, feed.row] += counts

    def tally(self, series: Series, from_pane: int, to_pane: int) -> Tally:
        """Of one series over [from_pane, to_pane)."""
        row = self.rows.get(series)
        if row is None:
            return Tally()
        parts = self._places(from_pane, to_pane)
        return Tally(
            sum(int(self._numerators[part, row].sum()) for part in parts), sum(int(self._denominators[part, row].sum()) for part in parts)
        )

    def tallies(self, from_pane: int, to_pane: int) -> tuple[list[int], list[int]]:
        """Numerators and denominators of all series over [from_pane, to_pane), by row."""
        parts, rows = self._places(from_pane, to_pane), len(self.rows) + len(self._free)
        numerators, denominators = (
            sum((counts[part, :rows].sum(axis=0) for part in parts), np.zeros(rows, np.int64))
            for counts in (self._numerators, self._denominators)
        )
        return numerators.tolist(), denominators.tolist()

    def present(self, from_pane: int, to_pane: int) -> list[Series]:
        """The series with events in [from_pane, to_pane)."""
        _, denominators = self.tallies(from_pane, to_pane)
        return [series for series, row in self.rows.items() if denominators[row]]

    def events_by_partition(self, series: Series, from_pane: int, to_pane: int) -> list[int] | None:
        """Events of one series, by partition; None when there are too many series for that to be known."""
        row = self.rows.get(series)
        if row is None or self._by_partition is None:
            return None if self._by_partition is None else [0] * self.partitions
        parts = self._places(from_pane, to_pane)
        counts = sum((self._by_partition[part, :, row].sum(axis=0) for part in parts), np.zeros(self.partitions, np.int64))
        return [int(count) for count in counts]

    def buckets(self, series: Series, from_pane: int, to_pane: int) -> Buckets:
        """The histogram of one series of a quantile; not to be changed."""
        row = self.rows.get(series)
        if row is None:
            return {}
        slide = self._slides.get((row, to_pane - from_pane))
        # What a slide begins with may be forgotten by now: then it cannot be taken off any more.
        if slide is None or not self.oldest() <= slide.from_pane <= from_pane < slide.to_pane:
            slide = _Slide(from_pane, from_pane)
        self._slides[row, to_pane - from_pane] = slide
        for pane in range(slide.from_pane, from_pane):
            _merge(slide.buckets, self._buckets[row].get(pane, {}), -1)
        for pane in range(slide.to_pane, to_pane):
            _merge(slide.buckets, self._buckets[row].get(pane, {}), 1)
        slide.from_pane, slide.to_pane = from_pane, to_pane
        return slide.buckets

    def forget(self) -> None:
        """Drop the series that no panes in memory feed, and histograms that are too old."""
        for series, row in [(series, row) for series, row in self.rows.items() if not self.fed_by[row]]:
            del self.rows[series], self.fed_by[row]
            self._free.append(row)
        self._slides = {key: slide for key, slide in self._slides.items() if key[0] in self.fed_by}
        for histograms in self._buckets:
            for pane in [pane for pane in histograms if pane < self.oldest()]:
                del histograms[pane]

    def _row(self, series: Series) -> int:
        row = self.rows.get(series)
        if row is None:
            row = self.rows[series] = self._free.pop() if self._free else len(self.rows)
            self.fed_by[row] = set()
            if row >= self._denominators.shape[-1]:
                self._grow()
            while self.is_quantile and len(self._buckets) <= row:
                self._buckets.append({})
        return row

    def _grow(self) -> None:
        rows = self._denominators.shape[-1] * 2
        self._numerators, self._denominators = _wider(self._numerators, rows), _wider(self._denominators, rows)
        if self._by_partition is not None:
            self._by_partition = _wider(self._by_partition, rows) if rows <= _SERIES_BY_PARTITION else None

    def _places(self, from_pane: int, to_pane: int) -> list[slice]:
        if self._newest is None:
            return []
        begin, end = max(from_pane, self.oldest()), min(to_pane, self._newest + 1)
        if begin >= end:
            return []
        first, last = begin % self.panes, (end - 1) % self.panes + 1
        return [slice(first, last)] if first < last else [slice(first, self.panes), slice(0, last)]

    def _add_buckets(self, row: int, pane: int, buckets: Mapping[int, int]) -> None:
        _merge(self._buckets[row].setdefault(pane, {}), buckets, 1)
        for (of_row, _), slide in self._slides.items():
            if of_row == row and slide.from_pane <= pane < slide.to_pane:
                _merge(slide.buckets, buckets, 1)


def _wider(counts: Counts, rows: int) -> Counts:
    """With more rows; panes without any event stay untouched."""
    wider = np.zeros((*counts.shape[:-1], rows), np.int64)
    for place in np.flatnonzero(counts.any(axis=tuple(range(1, counts.ndim)))):
        wider[place, ..., : counts.shape[-1]] = counts[place]
    return wider


def scale(quantity: Quantity) -> int:
    """What a tally's numerator is divided by to be in the quantity's unit: sums are in millionths, counts are not."""
    return MILLIONTHS if quantity.kind == "mean" else 1


def rank(n: int, quantile: float) -> int:
    """ceil(quantile * n), with the quantile in thousandths so that no float is rounded up by chance."""
    return -(-round(quantile * 1000) * n // 1000)


def quantile_of(buckets: Mapping[int, int], quantile: float, more_zeros: int = 0) -> float | None:
    """The value of that rank, at most 1.1 % off, as the contract of panes has it; `more_zeros` values of 0 besides; None without any."""
    remaining = rank(sum(buckets.values()) + more_zeros, quantile) - more_zeros
    if not buckets:
        return 0.0 if more_zeros else None
    if remaining <= 0:
        return 0.0
    for bucket in sorted(buckets):
        remaining -= buckets[bucket]
        if remaining <= 0:
            return 0.0 if bucket == ZERO_BUCKET else float(2.0 ** ((bucket + 0.5) / _BUCKETS_PER_DOUBLING))
    return None


def pane_of(ms: int) -> int:
    """The number of the pane that an instant lies in."""
    return ms // PANE_MS


def _merge(into: Buckets, more: Mapping[int, int], sign: int) -> None:
    for bucket, count in more.items():
        left = into.get(bucket, 0) + sign * count
        if left:
            into[bucket] = left
        else:
            into.pop(bucket, None)
