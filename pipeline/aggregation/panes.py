"""The panes of one partition: folded record by record, each at most once, and read out as absolute snapshots."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Final

from pipeline.aggregation.catalogue import Labels
from pipeline.aggregation.histogram import bucket_of, millionths
from pipeline.aggregation.watermark import OPEN_MS, pane_start
from schemas.metrics import LABEL_VALUES_KEPT, METRICS, OTHER

Key = tuple[int, str, Labels]

#: Panes that start so far behind the watermark are packed: few events still come for them, and packed they take a tenth of the memory.
COLD_AFTER_MS: Final = 60_000
_PACKED: Final = Struct("<qqqq")  # count, sum_millionths, last_offset, first_received_ms; buckets and their counts follow


@dataclass(slots=True)
class Pane:
    """A running pane. `sum_millionths` adds values that were each rounded once; `last_offset` is the last record folded in.

    `has_changed` since it was last read out.
    """

    key: Key
    count: int = 0
    sum_millionths: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    last_offset: int = -1
    first_received_ms: int = 0
    has_changed: bool = False


@dataclass(slots=True)
class Snapshot:
    """What a pane stood at: it replaces every snapshot of the same pane and partition with a lower `version`. Nobody changes it.

    Not frozen: Python makes a frozen one five times as slowly, and a busy worker makes one per pane and flush.
    """

    metric: str
    labels: Labels
    start_ms: int
    count: int
    sum_millionths: int
    buckets: dict[int, int]
    last_offset: int
    first_received_ms: int
    version: int


@lru_cache(maxsize=10_000)
def named_labels(metric: str, labels: Labels) -> Mapping[str, str]:
    """Label values by name; shared by all who ask, so never to be changed."""
    return dict(zip(METRICS[metric].labels, labels, strict=True))


class Panes:
    """Panes by (start_ms, metric, labels), with the label cap applied in offset order.

    The cap needs no state of its own: the values that keep their name are those the panes themselves carry.
    """

    def __init__(self, loaded: Iterable[Snapshot] = ()) -> None:
        self._panes: dict[Key, Pane] = {}
        self._cold: dict[Key, bytes] = {}
        self._kept: dict[tuple[int, str], tuple[set[str], ...]] = {}
        self._changed: list[Pane] = []
        self._looked_at = 0
        for row in loaded:
            key = (row.start_ms, row.metric, row.labels)
            pane = Pane(key, row.count, row.sum_millionths, dict(row.buckets), row.last_offset, row.first_received_ms)
            self._insert(pane)

    def __len__(self) -> int:
        return len(self._panes) + len(self._cold)

    def fold(self, start_ms: int, metric: str, labels: Labels, value: float | None, offset: int, received_ms: int) -> None:
        """Add one record; no effect when its offset is not beyond what the pane already holds."""
        key = (start_ms, metric, labels)
        pane = self._panes.get(key) or self._find(key, received_ms)
        if offset <= pane.last_offset:
            return
        pane.count += 1
        pane.last_offset = offset
        if not pane.has_changed:
            pane.has_changed = True
            self._changed.append(pane)
        if value is not None:
            bucket = bucket_of(value)
            pane.sum_millionths += millionths(value)
            pane.buckets[bucket] = pane.buckets.get(bucket, 0) + 1

    def changed(self) -> list[Snapshot]:
        """Snapshots of the panes folded into since the last call."""
        changed, self._changed = self._changed, []
        for pane in changed:
            pane.has_changed = False
        return [_snapshot(pane, 2 * pane.last_offset) for pane in changed]

    def all(self, version: int) -> list[Snapshot]:
        """Snapshots of every pane, as a repair writes them."""
        return [_snapshot(pane, version) for pane in (*self._panes.values(), *(_unpacked(*item) for item in self._cold.items()))]

    def forget_before(self, start_ms: int) -> None:
        """Give back the memory of panes that closed and were read out. Costs a look at every pane, once per ten seconds of event time.

        Of those that are open the older ones are packed.
        """
        if pane_start(start_ms) == self._looked_at:
            return
        self._looked_at = 0 if self._changed else pane_start(start_ms)
        cold_ms = start_ms + OPEN_MS - COLD_AFTER_MS
        for key in [key for key, pane in self._panes.items() if key[0] < cold_ms and not pane.has_changed]:
            self._cold[key] = _packed(self._panes.pop(key))
        for key in [key for key in self._cold if key[0] < start_ms]:
            del self._cold[key]
            self._kept.pop(key[:2], None)

    def _find(self, key: Key, received_ms: int) -> Pane:
        start_ms, metric, labels = key
        capped_key = (start_ms, metric, self._capped(start_ms, metric, labels))
        if (pane := self._panes.get(capped_key)) is not None:
            return pane
        if (packed := self._cold.pop(capped_key, None)) is not None:
            return self._insert(_unpacked(capped_key, packed))
        return self._insert(Pane(capped_key, first_received_ms=received_ms))

    def _insert(self, pane: Pane) -> Pane:
        start_ms, metric, labels = pane.key
        labels = tuple(map(sys.intern, labels))  # each event brings strings of its own
        pane.key = (start_ms, metric, labels)
        self._panes[pane.key] = pane
        kept = self._kept.get((start_ms, metric))
        if kept is None:
            kept = self._kept[(start_ms, metric)] = tuple(set() for _ in labels)
        for values, value in zip(kept, labels, strict=True):
            if value != OTHER:
                values.add(value)
        return pane

    def _capped(self, start_ms: int, metric: str, labels: Labels) -> Labels:
        kept = self._kept.get((start_ms, metric))
        if kept is None:
            return labels
        return tuple(
            value if value in values or len(values) < LABEL_VALUES_KEPT else OTHER for values, value in zip(kept, labels, strict=True)
        )


def _packed(pane: Pane) -> bytes:
    head = _PACKED.pack(pane.count, pane.sum_millionths, pane.last_offset, pane.first_received_ms)
    return head + array("i", chain.from_iterable(pane.buckets.items())).tobytes()


def _unpacked(key: Key, packed: bytes) -> Pane:
    count, sum_millionths, last_offset, first_received_ms = _PACKED.unpack_from(packed)
    numbers = array("i", packed[_PACKED.size :])
    return Pane(key, count, sum_millionths, dict(zip(numbers[::2], numbers[1::2], strict=True)), last_offset, first_received_ms)


def _snapshot(pane: Pane, version: int) -> Snapshot:
    start_ms, metric, labels = pane.key
    return Snapshot(
        metric,
        labels,
        start_ms,
        pane.count,
        pane.sum_millionths,
        dict(pane.buckets),
        pane.last_offset,
        pane.first_received_ms,
        version,
    )
