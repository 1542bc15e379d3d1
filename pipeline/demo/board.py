"""What `panes.v1` says: of every pane and partition the snapshot with the highest version, added up over partitions and over time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pipeline.aggregation.histogram import merge, quantile
from schemas.metrics import METRICS
from schemas.pane import MILLIONTHS, Flush, Pane
from schemas.timestamps import to_ms

PERCENTILES: Final = (50, 95, 99)


class Series(NamedTuple):
    """A metric with the values of all its labels, in the order the metric has them."""

    metric: str
    labels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, metric: str, labels: dict[str, str]) -> Series:
        known = METRICS[metric].labels if metric in METRICS else tuple(sorted(labels))
        return cls(metric, tuple((name, labels.get(name, "")) for name in known))

    def __str__(self) -> str:
        return " ".join([self.metric, *(f"{name}={value or '(none)'}" for name, value in self.labels)])

    @property
    def is_error(self) -> bool:
        """Whether it is counted in the numerator of its metric's error rate."""
        return METRICS[self.metric].is_error(dict(self.labels))

    @property
    def is_in_total(self) -> bool:
        """Whether it is counted in the denominator of its metric's error rate."""
        return METRICS[self.metric].is_in_total(dict(self.labels))


@dataclass(frozen=True, slots=True)
class Totals:
    """Panes added up: events, the sum of their values in millionths of the metric's unit, and the histogram of the values."""

    count: int = 0
    sum_millionths: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.count + other.count, self.sum_millionths + other.sum_millionths, merge(self.buckets, other.buckets))

    @property
    def mean(self) -> float | None:
        """In the metric's unit; None without values."""
        return self.sum_millionths / MILLIONTHS / sum(self.buckets.values()) if self.buckets else None

    def percentile(self, percent: int) -> float | None:
        """At most 1.1 % off; None without values."""
        return quantile(self.buckets, percent / 100)


class Board:
    """Folds flushes; their order, repeats and older versions make no difference."""

    def __init__(self) -> None:
        self._panes: dict[tuple[int, Series, int], Pane] = {}
        self.last_offsets: dict[int, int] = {}

    def fold(self, flush: Flush) -> None:
        """Take in one record of `panes.v1`."""
        for pane in flush.panes:
            key = (flush.source_partition, Series.of(pane.metric, pane.labels), to_ms(pane.start))
            known = self._panes.get(key)
            if known is None or pane.version > known.version:
                self._panes[key] = pane
        if flush.watermark is not None or flush.caught_up_at is not None:  # the last part of a flush: all before it is in
            self.last_offsets[flush.source_partition] = max(self.last_offsets.get(flush.source_partition, -1), flush.last_offset)

    def has_folded(self, end_offsets: dict[int, int]) -> bool:
        """Whether the panes hold everything below `end_offsets` of events.v1, by partition."""
        return all(self.last_offsets.get(partition, -1) >= end - 1 for partition, end in end_offsets.items())

    def panes(self, from_ms: int, to_ms: int | None = None) -> dict[tuple[Series, int], Totals]:
        """(series, start) of each pane that starts in [from_ms, to_ms) to its totals over all partitions."""
        added: dict[tuple[Series, int], Totals] = {}
        for series, start_ms, totals in self._in_period(from_ms, to_ms):
            added[series, start_ms] = added.get((series, start_ms), Totals()) + totals
        return added

    def series(self, from_ms: int, to_ms: int | None = None) -> dict[Series, Totals]:
        """Each series with an event in the panes that start in [from_ms, to_ms), by name."""
        added: dict[Series, Totals] = {}
        for series, _, totals in self._in_period(from_ms, to_ms):
            added[series] = added.get(series, Totals()) + totals
        return {series: added[series] for series in sorted(added)}

    def metric(self, name: str, from_ms: int, to_ms: int | None = None) -> tuple[Totals, int]:
        """A metric over all labels: its totals, and how many of its events are errors."""
        found = [(series, totals) for series, _, totals in self._in_period(from_ms, to_ms, name)]
        errors = sum(totals.count for series, totals in found if series.is_error)
        return sum((totals for _, totals in found), Totals()), errors

    def _in_period(self, from_ms: int, to_ms: int | None, metric: str | None = None) -> Iterator[tuple[Series, int, Totals]]:
        for (_, series, start_ms), pane in self._panes.items():
            wanted = metric is None or series.metric == metric
            if wanted and from_ms <= start_ms and (to_ms is None or start_ms < to_ms) and pane.count:  # a repair may leave one empty
                yield series, start_ms, Totals(pane.count, pane.sum, pane.buckets)
