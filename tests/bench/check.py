"""Whether a contestant did the work: every event a row, and panes equal to what was counted while the events were made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.metrics import METRICS
from tests.bench.events import Reckoning
from tests.bench.rig import Rig

Expected = Mapping[tuple[str, tuple[str, ...], int], tuple[int, int]]

#: How often the engine is asked while a run goes on: a count costs it a millisecond of the core it shares with the broker.
POLL_S: Final = 0.05

#: Metrics whose events need not say how long it took.
_MAY_LACK_VALUE: Final = frozenset({"provider_attempt", "queue_job"})

_PANES: Final = """
    SELECT metric, labels, toUnixTimestamp64Milli(start) AS start_ms, sum(count) AS count, sum(sum) AS sum,
           sum(arraySum(mapValues(buckets))) AS in_buckets
    FROM telemetry.panes_raw FINAL GROUP BY metric, labels, start
"""


def rows_stored(rig: Rig) -> int:
    """Rows of events, copies included."""
    return int(rig.one("SELECT count() AS n FROM telemetry.events_raw"))


def events_in_panes(rig: Rig) -> int:
    """Events counted in the newest snapshots."""
    return int(rig.one("SELECT sum(count) AS n FROM telemetry.panes_raw FINAL WHERE metric = 'events'"))


def wait_stored(rig: Rig, events: int, panes: bool, within_s: float, alive: Callable[[], None]) -> float:
    """Until the engine holds `events` rows and, where `panes`, as many events in panes; returns the monotonic instant it was seen.

    Raises TimeoutError with what was there instead; `alive` may raise meanwhile.
    """
    deadline = time.monotonic() + within_s
    questions = [rows_stored, events_in_panes] if panes else [rows_stored]
    for question in questions:
        while (seen := question(rig)) < events:
            alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{question.__name__.replace('_', ' ')}: {seen:,} of {events:,} after {within_s:.0f} s")
            time.sleep(POLL_S)
    return time.monotonic()


def wrong_rows(rig: Rig, events: int) -> str:
    """'' when there are exactly `events` rows with ids of their own, else what there is."""
    (found,) = rig.query("SELECT count() AS n, uniqExact(event_id) AS ids FROM telemetry.events_raw")
    return "" if (found["n"], found["ids"]) == (events, events) else f"{found['n']:,} rows with {found['ids']:,} ids of {events:,} events"


def wrong_panes(rig: Rig, reckoning: Reckoning) -> str:
    """'' when the stored panes are exactly those that were counted, else what is wrong."""
    return compare_panes(rig.query(_PANES), reckoning.panes())


def compare_panes(rows: list[dict[str, Any]], expected: Expected) -> str:
    """'' when they say the same; histograms of a metric with a unit must hold as many values as events were counted."""
    found: dict[tuple[str, tuple[str, ...], int], tuple[int, int]] = {}
    for row in rows:
        metric = METRICS[row["metric"]]
        labels = tuple(row["labels"][label] for label in metric.labels)
        found[(metric.name, labels, row["start_ms"])] = (row["count"], row["sum"])
        if metric.unit and metric.name not in _MAY_LACK_VALUE and row["in_buckets"] != row["count"]:
            return f"{metric.name} {labels}: {row['in_buckets']} values in buckets of {row['count']}"
    if found == expected:
        return ""
    differing = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
    key = min(differing)
    return f"{len(differing)} of {len(expected)} panes differ, first {key}: {found.get(key)}, counted {expected.get(key)}"
