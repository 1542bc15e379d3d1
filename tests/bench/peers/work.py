"""The work that peers share: validate a batch in one call, fold panes with histograms, make rows, write them.

Written as a good engineer would for the same tables and topic, without anything of `pipeline`: what differs between peers is how their
framework hands them records, and when it lets them write. Left out, which our worker does: finding repeats, content hashes, first
exposures, dead letters, moved records, late events, and resuming from stored panes after a restart.
"""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.event_types import Event
from schemas.metrics import METRICS

KAFKA: Final = os.environ.get("BENCH_KAFKA", "")
EVENTS_TOPIC: Final = "nutricoach.telemetry.events.v1"
PANES_TOPIC: Final = "nutricoach.telemetry.panes.v1"
#: A flush is due after so many records or so long, as in our worker.
FLUSH_RECORDS: Final = 20_000
FLUSH_S: Final = 0.2

EVENT_COLUMNS: Final = (
    "event_id", "event_type", "occurred_at", "received_at", "service", "version", "environment", "user_id", "session_id", "trace_id",
    "flags", "properties", "kafka_partition", "kafka_offset", "time_clamped", "sent_at",
)  # fmt: skip
PANE_COLUMNS: Final = (
    "metric", "labels", "start", "source_partition", "count", "sum", "buckets", "last_offset", "first_received_at", "version",
)  # fmt: skip

_LABELS: Final = {metric.name: metric.labels for metric in METRICS.values()}
_STATUS_CLASSES: Final = {hundred: f"{hundred}xx" for hundred in range(1, 6)}
_AHEAD_MS: Final = 600_000
_KEPT_MS: Final = 900_000
_PANE_MS: Final = 10_000

_ONE: Final[TypeAdapter[Any]] = TypeAdapter(Event)
_MANY: Final[TypeAdapter[list[Any]]] = TypeAdapter(list[Event])

Key = tuple[int, str, tuple[str, ...]]


def tame_collector() -> None:
    """What is imported lives for ever, and events are dropped by reference counts: look for cycles rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def decode(values: Sequence[bytes]) -> list[Any]:
    """Validated events, None for what is none."""
    try:
        return _MANY.validate_json(b"[" + b",".join(values) + b"]")
    except ValidationError:
        return [_decode_one(value) for value in values]


def _decode_one(value: bytes) -> Any:
    try:
        return _ONE.validate_json(value)
    except ValidationError:
        return None


@dataclass(slots=True)
class Pane:
    last_offset: int
    first_received_ms: int
    count: int = 0
    sum: int = 0
    buckets: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Partition:
    panes: dict[Key, Pane] = field(default_factory=dict)
    changed: dict[Key, Pane] = field(default_factory=dict)
    watermark_ms: int = 0
    pruned_ms: int = 0


@dataclass(slots=True)
class Taken:
    """What a flush writes: messages by partition for the pane topic, and rows."""

    messages: list[tuple[bytes, bytes]]
    event_rows: bytes
    pane_rows: bytes


class Work:
    """Panes per partition, and what was not written yet."""

    def __init__(self) -> None:
        self.records = 0
        self._partitions: dict[int, _Partition] = {}
        self._rows: list[bytes] = []

    def fold(self, partition: int, values: Sequence[bytes], offsets: Sequence[int], received: Sequence[int]) -> None:
        """Take records of one partition, in order; `received` is the broker's stamp in ms."""
        state = self._partitions.setdefault(partition, _Partition())
        rows = []
        for event, offset, received_ms in zip(decode(values), offsets, received, strict=True):
            if event is None:
                continue
            sent_ms = int(event["occurred_at"].timestamp() * 1000 + 0.5)
            occurred_ms = received_ms if sent_ms > received_ms + _AHEAD_MS else sent_ms
            state.watermark_ms = max(state.watermark_ms, min(occurred_ms, received_ms))
            _fold(state, event, occurred_ms - occurred_ms % _PANE_MS, offset, received_ms)
            rows.append(_event_row(event, occurred_ms, sent_ms, received_ms, partition, offset))
        if rows:
            self._rows.append(orjson.dumps(rows)[1:-1])
        self.records += len(values)

    def take(self) -> Taken:
        """Everything since the last call."""
        messages, pane_rows = [], []
        for partition, state in self._partitions.items():
            changed, state.changed = state.changed, {}
            if changed:
                messages.append((str(partition).encode(), _flush_value(partition, state, changed)))
                pane_rows += [_pane_row(partition, key, pane) for key, pane in changed.items()]
            _prune(state)
        rows, self._rows, self.records = self._rows, [], 0
        return Taken(messages, b",".join(rows), orjson.dumps(pane_rows, option=orjson.OPT_NON_STR_KEYS)[1:-1])


class Warehouse:
    """Inserts of finished rows over HTTP, blocking."""

    def __init__(self) -> None:
        self._client = connect()

    def write(self, taken: Taken) -> None:
        """Event rows, then pane rows; returns when both are stored."""
        for table, columns, rows in (("events_raw", EVENT_COLUMNS, taken.event_rows), ("panes_raw", PANE_COLUMNS, taken.pane_rows)):
            if rows:
                self._client.raw_insert(table, columns, rows, fmt="JSONCompactEachRow")


def connect() -> Any:
    """A client of the benchmark's engine."""
    url = urlsplit(os.environ["BENCH_CLICKHOUSE"])
    user, password = os.environ["BENCH_CLICKHOUSE_USER"], os.environ["BENCH_CLICKHOUSE_PASSWORD"]
    return clickhouse_connect.get_client(
        host=url.hostname,
        port=url.port,
        username=user,
        password=password,
        database="telemetry",
        compress=False,
        autogenerate_session_id=False,
    )


def _fold(state: _Partition, event: Mapping[str, Any], start_ms: int, offset: int, received_ms: int) -> None:
    panes, changed = state.panes, state.changed
    for metric, labels, value in _series(event):
        key = (start_ms, metric, labels)
        pane = panes.get(key)
        if pane is None:
            pane = panes[key] = Pane(offset, received_ms)
        pane.count += 1
        pane.last_offset = offset
        changed[key] = pane
        if value is not None:
            bucket = math.ceil(math.log2(value) * 32) - 1 if value > 0 else -32768
            pane.sum += round(value * 1_000_000)
            pane.buckets[bucket] = pane.buckets.get(bucket, 0) + 1


_Series = tuple[str, tuple[str, ...], float | None]
_Of = Mapping[str, Any]


def _series(event: _Of) -> list[_Series]:
    """What an event counts in. Ratings and paths are taken as sent; ours are not."""
    own = _OWN.get(event["event_type"])
    every = ("events", (event["event_type"], event["source"]["service"]), None)
    return [*own(event["properties"], event), every] if own is not None else [every]


def _path(path: str) -> str:
    return path.partition("?")[0].partition("#")[0]


_OWN: Final[dict[str, Callable[[_Of, _Of], list[_Series]]]] = {
    "api_request": lambda p, event: [
        ("api_request", (event["source"]["service"], _path(p["route"]), _STATUS_CLASSES[p["status_code"] // 100]), p["duration_ms"])
    ],
    "web_vital": lambda p, _: [("web_vital", (p["name"], _path(p["page"]), p["rating"]), p["value"])],
    "menu_generated": lambda p, _: [("menu_generation", (p.get("provider") or "", p["outcome"]), p["generation_time_ms"])],
    "recipe_view": lambda _, __: [("recipe_interaction", ("view",), None)],
    "recipe_save": lambda _, __: [("recipe_interaction", ("save",), None)],
    "recipe_share": lambda _, __: [("recipe_interaction", ("share",), None)],
    "feature_exposure": lambda p, _: [("feature_exposure", (p["flag"], p["variant"]), None)],
    "feature_performance": lambda p, _: [("feature_performance", (p["flag"], p["variant"]), p["duration_ms"])],
    "provider_attempt": lambda p, _: [("provider_attempt", (p["provider"], p["outcome"]), p.get("latency_ms"))],
    "queue_job": lambda p, _: [("queue_job", (p["queue"], p["outcome"]), p.get("duration_ms"))],
    "external_api_call": lambda p, _: [("external_api_call", (p["api"], _STATUS_CLASSES[p["status_code"] // 100]), p["duration_ms"])],
    "nutrition_accuracy": lambda p, _: [("nutrition_accuracy", (p.get("provider") or "",), p["accuracy_score"])],
    "satisfaction_rating": lambda p, _: [("satisfaction_rating", (), p["rating"])],
    "nps_response": lambda p, _: [("nps_response", (), p["score"])],
    "payment": lambda p, _: [("payment", (p["outcome"],), None)],
    "health_check": lambda p, _: [("health_check", (p["check"], p["status"]), p["latency_ms"])],
    "resource_usage": lambda p, _: [
        ("resource_usage", (p["host"], resource), p[f"{resource}_ratio"]) for resource in ("cpu", "memory", "disk")
    ],
}


def _event_row(event: Mapping[str, Any], occurred_ms: int, sent_ms: int, received_ms: int, partition: int, offset: int) -> tuple[Any, ...]:
    source, trace = event["source"], event.get("trace")
    return (
        event["event_id"],
        event["event_type"],
        occurred_ms / 1000,
        received_ms / 1000,
        source["service"],
        source.get("version"),
        source["environment"],
        event.get("user_id"),
        event.get("session_id"),
        trace["trace_id"] if trace else None,
        event.get("flags"),
        orjson.dumps(event["properties"], option=orjson.OPT_SORT_KEYS).decode(),
        partition,
        offset,
        occurred_ms != sent_ms,
        sent_ms / 1000,
    )


def _pane_row(partition: int, key: Key, pane: Pane) -> tuple[Any, ...]:
    start_ms, metric, labels = key
    return (
        metric,
        dict(zip(_LABELS[metric], labels, strict=True)),
        start_ms / 1000,
        partition,
        pane.count,
        pane.sum,
        pane.buckets,
        pane.last_offset,
        pane.first_received_ms / 1000,
        2 * pane.last_offset,
    )


def _flush_value(partition: int, state: _Partition, changed: Mapping[Key, Pane]) -> bytes:
    panes = [
        {
            "metric": metric,
            "labels": dict(zip(_LABELS[metric], labels, strict=True)),
            "start": start_ms,
            "count": pane.count,
            "sum": pane.sum,
            "buckets": pane.buckets,
            "last_offset": pane.last_offset,
        }
        for (start_ms, metric, labels), pane in changed.items()
    ]
    flush = {"source_partition": partition, "watermark": state.watermark_ms, "panes": panes}
    return orjson.dumps(flush, option=orjson.OPT_NON_STR_KEYS)


def _prune(state: _Partition) -> None:
    oldest = state.watermark_ms - _KEPT_MS
    if oldest // _PANE_MS != state.pruned_ms // _PANE_MS:
        state.pruned_ms = oldest
        state.panes = {key: pane for key, pane in state.panes.items() if key[0] >= oldest}
