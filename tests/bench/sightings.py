"""From when something was published and when how much of each partition was seen, to how long each event took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np


class Published(NamedTuple):
    """`events` consecutive records of one partition, the last at `last_offset`, that were due at `due_s` (monotonic)."""

    partition: int
    last_offset: int
    events: int
    due_s: float


@dataclass(slots=True)
class Sightings:
    """When everything up to an offset was seen; in the order of time."""

    _seen: dict[int, tuple[list[int], list[float]]] = field(default_factory=dict)

    def add(self, partition: int, last_offset: int, at_s: float) -> None:
        """At `at_s` (monotonic) everything up to `last_offset` of the partition was there. A lower offset than before says nothing new."""
        offsets, times = self._seen.setdefault(partition, ([], []))
        offsets.append(last_offset)
        times.append(at_s)

    def has_seen(self, published: Sequence[Published]) -> bool:
        """Whether the last record of every batch has been seen by now."""
        highest = {partition: max(offsets) for partition, (offsets, _) in self._seen.items()}
        return all(batch.last_offset <= highest.get(batch.partition, -1) for batch in published)

    def waits_ms(self, published: Sequence[Published]) -> list[tuple[float, int]]:
        """Per batch, ms from due to the first sighting of its last record, with its number of events.

        Raises LookupError when a batch was never seen.
        """
        highest = {partition: np.array(list(accumulate(offsets, max))) for partition, (offsets, _) in self._seen.items()}
        waits = []
        for batch in published:
            reached = highest.get(batch.partition, np.array([], np.int64))
            place = int(np.searchsorted(reached, batch.last_offset))
            if place == len(reached):
                raise LookupError(f"offset {batch.last_offset} of partition {batch.partition} was never seen")
            waits.append(((self._seen[batch.partition][1][place] - batch.due_s) * 1000, batch.events))
        return waits


def quantile_ms(waits: Sequence[tuple[float, int]], rank: float) -> float:
    """The value of rank ceil(rank * n) over all events, each batch counted as often as it has events; one decimal."""
    values, weights = zip(*waits, strict=True)
    return round(float(np.quantile(values, rank, weights=weights, method="inverted_cdf")), 1)
