"""What every number must be, computed again from what was sent. Nothing of the aggregation under test is used here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp2
from typing import Any, Final

from tests.chaos.expected_series import (
    DURATIONS,
    ERRORS,
    PANE_MS,
    TOTALS,
    ZERO_BUCKET,
    Labels,
    bucket_of,
    counted_at_ms,
    instant_ms,
    millionths,
    series_of,
)

#: (metric, labels sorted by name, start in ms)
PaneKey = tuple[str, Labels, int]
#: (window_start in ms, window_s, metric, labels)
WindowKey = tuple[int, int, str, Labels]

WINDOWS_S: Final = (60, 300)
_ACTIVE: Final = {"menu_generated", "satisfaction_rating", "nps_response"}


@dataclass(frozen=True, slots=True)
class Counted:
    """One distinct event that counts: as sent, and when the broker received the copy that counts (None when that is not known)."""

    event: Mapping[str, Any]
    received_ms: int | None

    @property
    def at_ms(self) -> int:
        return counted_at_ms(instant_ms(self.event["occurred_at"]), self.received_ms)


@dataclass(slots=True)
class Histogram:
    """Count, sum in millionths, count by bucket."""

    count: int = 0
    sum_millionths: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: float | None) -> None:
        self.count += 1
        if value is not None:
            self.sum_millionths += millionths(value)
            self.buckets[bucket_of(value)] += 1

    def merge(self, other: Histogram) -> None:
        self.count += other.count
        self.sum_millionths += other.sum_millionths
        self.buckets.update(other.buckets)

    def __str__(self) -> str:
        return f"count {self.count} sum {self.sum_millionths} buckets {dict(sorted(self.buckets.items()))}"


@dataclass(frozen=True, slots=True)
class ErrorRate:
    total: int
    errors: int


@dataclass(frozen=True, slots=True)
class Latency:
    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def panes(counted: Iterable[Counted]) -> dict[PaneKey, Histogram]:
    """Panes over all partitions."""
    found: dict[PaneKey, Histogram] = {}
    for one in counted:
        start_ms = one.at_ms // PANE_MS * PANE_MS
        for metric, own_labels, value in series_of(dict(one.event)):
            found.setdefault((metric, own_labels, start_ms), Histogram()).add(value)
    return found


def windows(of_panes: Mapping[PaneKey, Histogram], *, with_labels: bool = True) -> dict[WindowKey, Histogram]:
    """Panes added up over the aligned windows of WINDOWS_S; over all labels, too, when `with_labels` is false."""
    found: dict[WindowKey, Histogram] = {}
    for (metric, own_labels, start_ms), histogram in of_panes.items():
        for window_s in WINDOWS_S:
            window_start_ms = start_ms - start_ms % (window_s * 1000)
            key = (window_start_ms, window_s, metric, own_labels if with_labels else ())
            found.setdefault(key, Histogram()).merge(histogram)
    return found


def error_rates(of_windows: Mapping[WindowKey, Histogram], *, with_labels: bool = True) -> dict[WindowKey, ErrorRate]:
    """Rows of `error_rate`, or of `error_rate_total`."""
    found: dict[WindowKey, ErrorRate] = {}
    for (window_start_ms, window_s, metric, own_labels), histogram in of_windows.items():
        if metric not in ERRORS:
            continue
        name, values = ERRORS[metric]
        if metric in TOTALS and dict(own_labels)[name] not in TOTALS[metric]:
            continue
        rest = tuple(label for label in own_labels if label[0] != name) if with_labels else ()
        key = (window_start_ms, window_s, metric, rest)
        before = found.get(key, ErrorRate(0, 0))
        errors = histogram.count if dict(own_labels)[name] in values else 0
        found[key] = ErrorRate(before.total + histogram.count, before.errors + errors)
    return found


def latencies(of_windows: Mapping[WindowKey, Histogram]) -> dict[WindowKey, Latency]:
    """Rows of `latency`, or of `latency_total`."""
    return {key: _latency(histogram) for key, histogram in of_windows.items() if key[2] in DURATIONS and histogram.buckets}


def _latency(histogram: Histogram) -> Latency:
    ranked = sorted(histogram.buckets.elements())
    count = len(ranked)  # an event without a duration is not in it
    # The value of rank ceil(p * n), in whole numbers; of its bucket the geometric middle is shown.
    shown = (ranked[-(-count * percent // 100) - 1] for percent in (50, 95, 99))
    p50, p95, p99 = (0.0 if bucket == ZERO_BUCKET else exp2((bucket + 0.5) / 32) for bucket in shown)
    return Latency(count, histogram.sum_millionths / 1e6 / count, p50, p95, p99)


def user_days(counted: Iterable[Counted]) -> dict[tuple[str, int], bool]:
    """(user_id, begin of the part of the UTC day in s) → True: parts begin at 00:00, 22:00 and 23:00."""
    days = {}
    for one in counted:
        event_type, user_id = one.event["event_type"], one.event.get("user_id")
        if user_id and (event_type.startswith("recipe_") or event_type in _ACTIVE):
            hour = one.at_ms // 3_600_000
            days[user_id, (hour if hour % 24 >= 22 else hour - hour % 24) * 3_600] = True
    return days


def first_exposures(counted: Iterable[Counted]) -> dict[tuple[str, str], tuple[str, int]]:
    """(subject, flag) → (variant, first_at in ms); of two at one instant the smaller event_id is the first."""
    earliest: dict[tuple[str, str], tuple[int, str, str]] = {}
    for one in counted:
        event = one.event
        subject = event.get("user_id") or event.get("session_id")
        if event["event_type"] != "feature_exposure" or not subject:
            continue
        key = (subject, event["properties"]["flag"])
        seen = (one.at_ms, event["event_id"].lower(), event["properties"]["variant"])
        earliest[key] = min(seen, earliest.get(key, seen))
    return {key: (variant, at_ms) for key, (at_ms, _, variant) in earliest.items()}
