"""What reading costs as it goes on: from samples of how much is done and what was spent by then to the cost of a stretch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_HOUR_MS = 3_600_000


class Sample(NamedTuple):
    """At `at_s` (monotonic) that many events had had all their effects; CPU seconds so far and resident MiB of who did it."""

    at_s: float
    events: int
    cpu_s: float
    rss_mb: float


class Stretch(NamedTuple):
    """The events after `begin` up to `end`; `rss_mb` is the most that was resident at any time up to its end."""

    begin: int
    end: int
    events_per_s: float
    cpu_us_per_event: float
    rss_mb: float


def stretch(samples: Sequence[Sample], begin: int, end: int) -> Stretch:
    """The cost of the events between two marks; a mark without a sample lies on the straight line between its neighbours.

    Raises ValueError when the samples do not reach from one to the other.
    """
    first, last, events = _at(samples, begin), _at(samples, end), end - begin
    rss_mb = max([last.rss_mb, *(sample.rss_mb for sample in samples if sample.events <= end)])
    return Stretch(begin, end, events / (last.at_s - first.at_s), (last.cpu_s - first.cpu_s) / events * 1e6, rss_mb)


def _at(samples: Sequence[Sample], events: int) -> Sample:
    for earlier, later in pairwise(samples):
        if earlier.events <= events <= later.events and earlier.events < later.events:
            part = (events - earlier.events) / (later.events - earlier.events)
            at_s, _, cpu_s, rss_mb = (a + part * (b - a) for a, b in zip(earlier, later, strict=True))
            return Sample(at_s, events, cpu_s, rss_mb)
    raise ValueError(f"no sample at {events:,} events: they go from {samples[0].events:,} to {samples[-1].events:,}")


def start_within_hour(now_ms: int, span_ms: int) -> int:
    """The latest start so that `span_ms` is over by now and lies in one hour: an hour that closes on the way brings an audit.

    A span that fits in no hour ends now.
    """
    start_ms = now_ms - span_ms
    if start_ms // _HOUR_MS == (now_ms - 1) // _HOUR_MS or span_ms > _HOUR_MS:
        return start_ms
    return now_ms // _HOUR_MS * _HOUR_MS - span_ms
