"""L4: panes, windows and first exposures are what the recomputation says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from math import isclose
from typing import Any, Final, TypeVar

import orjson

from tests.chaos import expected
from tests.chaos.expected import Counted, ErrorRate, Histogram, Latency, PaneKey
from tests.chaos.expected_series import instant_ms
from tests.chaos.oracle_log import Reading
from tests.chaos.oracle_world import World
from tests.chaos.sent import Sent

Key = TypeVar("Key", bound=Hashable)
#: One pane of one partition.
SourceKey = tuple[PaneKey, int]

_TOLERANCE: Final = 1e-9


def numbers_right(sent: Sent, world: World, reading: Reading) -> list[str]:
    """Everything that is counted, against what was sent."""
    counted = counted_events(sent, reading)
    right = expected.panes(counted)
    windows, totals = expected.windows(right), expected.windows(right, with_labels=False)
    error_rates = expected.error_rates(windows)
    error_rates_total = expected.error_rates(windows, with_labels=False)
    published, contradictions = published_panes(world.flushes)
    return [
        *_compare("panes", right, _over_partitions((key, histogram) for key, _, histogram in world.pane_rows)),
        *_twice("panes", [(key, source) for key, source, _ in world.pane_rows]),
        *_compare("panes.v1", right, _over_partitions((key, histogram) for (key, _), histogram in published.items())),
        *contradictions,
        *_compare_rows("error_rate", error_rates, world.error_rate),
        *_compare_rows("error_rate_total", error_rates_total, world.error_rate_total),
        *_compare_rows("latency", expected.latencies(windows), world.latency),
        *_compare_rows("latency_total", expected.latencies(totals), world.latency_total),
        *_compare_rows("first_exposures", expected.first_exposures(counted), world.first_exposures),
        *_compare_rows("user_days", expected.user_days(counted), world.user_days),
    ]


def counted_events(sent: Sent, reading: Reading) -> list[Counted]:
    """Every distinct event that counts: all that were acknowledged, and those of unknown fate that the log has in their place."""
    counted = [Counted(item.document(), record.timestamp_ms) for record, item in reading.counting.values()]
    lost = {item.name: item for item, _ in sent.acked() if item.what == "event" and item.name not in reading.counting}
    return counted + [Counted(item.document(), None) for item in lost.values()]


def published_panes(flushes: Iterable[bytes]) -> tuple[dict[SourceKey, Histogram], list[str]]:
    """panes.v1 as its readers keep it, the highest version of each pane and partition; and versions that contradict themselves."""
    newest: dict[SourceKey, tuple[int, Histogram]] = {}
    contents: dict[tuple[SourceKey, int], Histogram] = {}
    contradictions = []
    for value in flushes:
        flush = orjson.loads(value)
        for pane in flush["panes"]:
            key = (_pane_key(pane), flush["source_partition"])
            histogram = Histogram(pane["count"], pane["sum"])
            histogram.buckets.update({int(bucket): count for bucket, count in pane["buckets"].items()})
            before = contents.setdefault((key, pane["version"]), histogram)
            if before != histogram:
                text = f"L4 panes.v1 {_text(key[0])} of partition {key[1]} has version {pane['version']} twice"
                contradictions.append(f"{text}: {_change(before, histogram)}")
            if key not in newest or pane["version"] > newest[key][0]:
                newest[key] = (pane["version"], histogram)
    return {key: histogram for key, (_, histogram) in newest.items()}, contradictions


def _pane_key(pane: Mapping[str, Any]) -> PaneKey:
    return pane["metric"], tuple(sorted(pane["labels"].items())), instant_ms(pane["start"])


def _over_partitions(rows: Iterable[tuple[PaneKey, Histogram]]) -> dict[PaneKey, Histogram]:
    merged: dict[PaneKey, Histogram] = defaultdict(Histogram)
    for key, histogram in rows:
        merged[key].merge(histogram)
    return {key: histogram for key, histogram in merged.items() if histogram.count or histogram.sum_millionths or +histogram.buckets}


def _compare_rows(name: str, right: Mapping[Key, Any], rows: Sequence[tuple[Key, Any]]) -> list[str]:
    return _twice(name, [key for key, _ in rows]) + _compare(name, right, dict(rows))


def _compare(name: str, right: Mapping[Key, Any], got: Mapping[Key, Any]) -> list[str]:
    keys = sorted(key for key in right.keys() | got.keys() if not _alike(right.get(key), got.get(key)))  # type: ignore[type-var]  # tuples
    return [f"L4 {name} {_text(key)}: {_change(right.get(key), got.get(key))}" for key in keys]


def _twice(name: str, keys: Sequence[Key]) -> list[str]:
    seen, found = set[Key](), []
    for key in keys:
        if key in seen:
            found.append(f"L4 {name} {_text(key)}: two rows")
        seen.add(key)
    return found


def _alike(right: Any, got: Any) -> bool:
    if isinstance(right, Latency) and isinstance(got, Latency):
        return all(isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in zip(astuple(right), astuple(got), strict=True))
    return bool(right == got)


def _change(right: Any, got: Any) -> str:
    if isinstance(right, Histogram) and isinstance(got, Histogram):
        if right.count != got.count:
            return f"want count {right.count}, got count {got.count}"
        if right.sum_millionths != got.sum_millionths:
            return f"want sum {right.sum_millionths}, got sum {got.sum_millionths} (count {right.count} both)"
        return (
            f"want buckets {_sorted(right.buckets - got.buckets)}, got buckets {_sorted(got.buckets - right.buckets)} (the rest is equal)"
        )
    return f"want {_value(right)}, got {_value(got)}"


def _sorted(buckets: Mapping[int, int]) -> dict[int, int]:
    return dict(sorted(buckets.items()))


def _value(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case Histogram():
            return f"count {value.count}"
        case ErrorRate():
            return f"{value.errors} of {value.total}"
        case Latency():
            return f"count {value.count} mean {value.mean_ms:.6f} p50 {value.p50_ms:.3f} p95 {value.p95_ms:.3f} p99 {value.p99_ms:.3f}"
    return str(value)


def _text(key: Any) -> str:
    """A key with its instants and labels as people write them."""
    match key:
        case (str(metric), tuple(labels), int(start_ms)):
            return f"{metric}{_labels(labels)} {_instant(start_ms)}"
        case ((str(_), tuple(_), int(_)) as pane, int(source)):
            return f"{_text(pane)} of partition {source}"
        case (int(start_ms), int(window_s), str(metric), tuple(labels)):
            return f"{metric}{_labels(labels)} {_instant(start_ms)} +{window_s} s"
    return str(key)


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ", ".join(f"{name}={value}" for name, value in labels) + "}"


def _instant(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat(timespec="seconds").replace("+00:00", "Z")
