"""Closed panes as the stored events say they are, and how those that are stored differ. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.aggregation.watermark import HOUR_MS, hour_of, oldest_open, pane_start
from pipeline.clickhouse.repair import StoredEvent
from schemas.pane import PANE_MS

#: events_raw drops whole parts at 90 days: an hour whose first record is older may lack some of its events.
OLDEST_REPAIRABLE_MS: Final = 80 * 86_400_000

#: missing: no pane where there are events. extra: a pane counts events that there are not. repeat, repeat_elsewhere: it counts one whose
#: first copy is further back in its partition, or on another one. different: as many events, otherwise something else.
Cause = Literal["missing", "extra", "repeat", "repeat_elsewhere", "different"]

_Key = tuple[int, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A pane that is not as it should be: what is stored, None when nothing is, and what is right, with the version of the repair."""

    stored: Snapshot | None
    right: Snapshot

    def cause(self, repeated: Mapping[int, str]) -> Cause:
        """What the comparison shows; `repeated` says by start in which panes repeats were counted (`repeated_panes`)."""
        stored = self.stored.count if self.stored is not None else 0
        if stored < self.right.count:
            return "missing"
        if stored == self.right.count:
            return "different"
        known: dict[str | None, Cause] = {"repeat": "repeat", "repeat_elsewhere": "repeat_elsewhere"}
        return known.get(repeated.get(self.right.start_ms), "extra")


def refold(panes: Panes, events: Iterable[StoredEvent], open_from_ms: int) -> set[int]:
    """Fold stored first copies, by ascending offset, into the closed panes they belong to; those from `open_from_ms` on are the fold's.

    Returns the hours, by their starts, that have events which this version cannot fold: what is right there is not known. Such an event
    was written by another version, or by hand, and it must not end the worker.
    """
    unknown = set()
    for event in events:
        start_ms = pane_start(event.occurred_ms)
        if start_ms < open_from_ms:
            try:
                for metric, labels, value in feeds(event.event()):
                    panes.fold(start_ms, metric, labels, value, event.offset, event.received_ms)
            except (KeyError, TypeError, ValueError, AttributeError):
                unknown.add(hour_of(start_ms))
    return unknown


def differences(panes: Panes, stored: Iterable[Snapshot], open_from_ms: int, version: int) -> list[Difference]:
    """What must be written so that the closed panes of some hours are what was refolded.

    Args:
        panes: the hours, refolded.
        stored: the newest snapshots there are of the hours; a series without events any more becomes zero.
        open_from_ms: panes from here on belong to the fold.
        version: of the right snapshots.
    """
    right = {_key(snapshot): snapshot for snapshot in panes.all(version)}
    before = {_key(snapshot): snapshot for snapshot in stored if snapshot.start_ms < open_from_ms}
    changed = [Difference(before.get(key), snapshot) for key, snapshot in right.items() if not _same(before.get(key), snapshot)]
    gone = [Difference(was, _emptied(was, version)) for key, was in before.items() if key not in right and was.count]
    return changed + gone


def closed_to(watermark_ms: int) -> int:
    """The first hour, by its start, that has a pane which is open or still to come."""
    return hour_of(oldest_open(watermark_ms) + PANE_MS - 1)


def batches(events_by_hour: Mapping[int, int], most_events: int) -> list[Sequence[int]]:
    """Hours in order, cut so that none but a single hour has more than `most_events`."""
    cut: list[list[int]] = []
    events = 0
    for hour_ms in sorted(events_by_hour):
        events += events_by_hour[hour_ms]
        if not cut or events > most_events or hour_ms - cut[-1][0] > _LONGEST_BATCH_MS:
            cut.append([])
            events = events_by_hour[hour_ms]
        cut[-1].append(hour_ms)
    return list(cut)


#: Hours that lie far apart make an index useless, and all their names must fit a request.
_LONGEST_BATCH_MS: Final = 2_000 * HOUR_MS


def _key(snapshot: Snapshot) -> _Key:
    return snapshot.start_ms, snapshot.metric, snapshot.labels


def _same(stored: Snapshot | None, right: Snapshot) -> bool:
    if stored is None:
        return False
    return (stored.count, stored.sum_millionths, stored.buckets) == (right.count, right.sum_millionths, right.buckets)


def _emptied(snapshot: Snapshot, version: int) -> Snapshot:
    return replace(snapshot, count=0, sum_millionths=0, buckets={}, version=version)
