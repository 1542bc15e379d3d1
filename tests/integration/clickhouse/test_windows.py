"""The views of rates and durations against numpy over the single events."""

from __future__ import annotations

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pipeline.clickhouse.client import Client
from pipeline.runtime.settings import ClickHouse
from tests.integration.clickhouse.rows import DAY_MS, instant, pane_row, write_panes

WINDOWS_S = (60, 300, 900, 1800, 3600, 21600, 86400)
ERRORS = {
    "menu_generation": ("outcome", {"failed"}),
    "api_request": ("status_class", {"5xx"}),
    "web_vital": ("rating", {"poor"}),
    "payment": ("outcome", {"failed"}),
    "queue_job": ("outcome", {"exhausted"}),
}
#: Of a metric that is not here, every event is in the total.
TOTALS = {"queue_job": {"exhausted", "completed"}}
DURATIONS = {"menu_generation", "api_request", "queue_job"}
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Happened:
    metric: str
    labels: Labels
    at_ms: int
    partition: int
    value: float | None


def random_events(seed: int) -> list[Happened]:
    """Two days with busy and quiet stretches, so that windows hold from one to thousands of events; zeros among the values."""
    chance = random.Random(seed)
    series = [
        *(("menu_generation", (("provider", p), ("outcome", o))) for p in ("", "ollama", ":other") for o in ("full", "degraded", "failed")),
        *(("api_request", (("service", "menu-api"), ("route", r), ("status_class", s))) for r in ("/m", "/n'") for s in ("2xx", "5xx")),
        *(("web_vital", (("name", "LCP"), ("page", "/"), ("rating", r))) for r in ("good", "poor")),
        *(("payment", (("outcome", o),)) for o in ("succeeded", "failed")),
        *(("queue_job", (("queue", "menus"), ("outcome", o))) for o in ("started", "retried", "completed", "exhausted")),
        ("queue_job", (("queue", "idle"), ("outcome", "started"))),
        ("recipe_interaction", (("action", "view"),)),
        ("events", (("event_type", "menu_generated"), ("service", "menu-api"))),
    ]
    events = []
    for metric, labels in series:
        for _ in range(chance.choice((3, 60, 900))):
            at_ms = DAY_MS + int(
                chance.choice((chance.uniform(0, 86_400), chance.uniform(3_500, 3_700), chance.uniform(0, 172_800))) * 1000
            )
            value = chance.choice((0.0, round(chance.expovariate(0.002), 3), 2.0 ** chance.randrange(12)))
            counted_only = metric in ("recipe_interaction", "events", "payment") or ("outcome", "started") in labels
            events.append(Happened(metric, labels, at_ms, chance.randrange(12), None if counted_only else value))
    return events


def panes_of(events: list[Happened]) -> list[list[Any]]:
    grouped: dict[tuple[str, Labels, int, int], list[float | None]] = defaultdict(list)
    for e in events:
        grouped[(e.metric, e.labels, e.at_ms // 10_000 * 10_000, e.partition)].append(e.value)
    rows = []
    for (metric, labels, start_ms, partition), values in grouped.items():
        buckets: dict[int, int] = defaultdict(int)
        for value in (v for v in values if v is not None):
            buckets[bucket(value)] += 1
        total = sum(round(v * 1e6) for v in values if v is not None)
        rows.append(pane_row(metric, dict(labels), start_ms, partition=partition, count=len(values), total=total, buckets=buckets))
    return rows


def bucket(value: float) -> int:
    """Bucket i holds (2^(i/32), 2^((i+1)/32)], -32768 what is not above 0."""
    if value <= 0:
        return -32768
    guess = math.ceil(32 * math.log2(value)) - 1
    return next(i for i in (guess - 1, guess, guess + 1) if 2 ** (i / 32) < value <= 2 ** ((i + 1) / 32))


def quantile(values: list[float], p: float) -> float:
    """What the bucket of numpy's quantile is shown as."""
    i = bucket(float(np.quantile(values, p, method="inverted_cdf")))
    return 0.0 if i == -32768 else 2 ** ((i + 0.5) / 32)


EVENTS = random_events(seed=7)


@pytest.fixture(scope="module")
def filled(migrated: ClickHouse) -> Iterator[Client]:
    """Panes of EVENTS, each over an older snapshot of itself, and one that a repair emptied."""
    client = Client(migrated)

    async def fill() -> None:
        rows = panes_of(EVENTS)
        older = [[*row[:4], row[4] + 100, 0, {}, 9, row[8], 18] for row in rows]
        emptied = pane_row("menu_generation", {"provider": "gone", "outcome": "failed"}, DAY_MS, count=0)
        await write_panes(client, older[::2])
        await write_panes(client, [*rows, emptied])
        await write_panes(client, older[1::2])

    asyncio.run(fill())
    yield client
    asyncio.run(client.close())


def in_windows(window_s: int, metrics: set[str]) -> dict[tuple[str, int], list[Happened]]:
    windows: dict[tuple[str, int], list[Happened]] = defaultdict(list)
    for e in EVENTS:
        if e.metric in metrics:
            windows[(e.metric, e.at_ms // (window_s * 1000) * window_s * 1000)].append(e)
    return windows


def by_labels(events: list[Happened], without: str | None = None) -> dict[Labels, list[Happened]]:
    series: dict[Labels, list[Happened]] = defaultdict(list)
    for e in events:
        series[tuple((name, value) for name, value in e.labels if name != without)].append(e)
    return series


def in_total(e: Happened) -> bool:
    return e.metric not in TOTALS or dict(e.labels)["outcome"] in TOTALS[e.metric]


def errors_in(events: list[Happened]) -> tuple[int, int, float]:
    label, bad = ERRORS[events[0].metric]
    errors, total = sum(dict(e.labels)[label] in bad for e in events), sum(map(in_total, events))
    return total, errors, errors / total


def durations_in(events: list[Happened]) -> tuple[Any, ...]:
    values = [e.value for e in events if e.value is not None]
    mean = math.fsum(values) / len(values)
    return (len(values), *(pytest.approx(x, rel=1e-9, abs=0) for x in (mean, *(quantile(values, p) for p in (0.5, 0.95, 0.99)))))


async def view(client: Client, sql: str, *key: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows by the columns `key`; labels in the order in which they stand."""
    rows = {}
    for row in await client.query(sql):
        if "labels" in row:
            row["labels"] = tuple(row["labels"].items())
        identity = tuple(row.pop(name) for name in key)
        assert identity not in rows
        rows[identity] = tuple(row.values())
    return rows


@pytest.mark.parametrize("window_s", WINDOWS_S)
async def test_error_rate_counts_every_series_without_its_error_label(filled: Client, window_s: int) -> None:
    """`error_rate` has, per aligned window and series without the error label, all events and those with an error value."""
    expected = {
        (instant(start_ms), metric, labels): errors_in(events)
        for (metric, start_ms), in_window in in_windows(window_s, set(ERRORS)).items()
        for labels, events in by_labels(in_window, without=ERRORS[metric][0]).items()
        if any(map(in_total, events))
    }
    sql = f"SELECT * EXCEPT window_s FROM error_rate WHERE window_s = {window_s}"
    assert await view(filled, sql, "window_start", "metric", "labels") == expected


@pytest.mark.parametrize("window_s", WINDOWS_S)
async def test_latency_is_numpys_quantile_in_its_bucket(filled: Client, window_s: int) -> None:
    """`latency` has, per aligned window and series, the count, the mean and the middle of the bucket of numpy's inverted_cdf."""
    expected = {
        (instant(start_ms), metric, labels): durations_in(events)
        for (metric, start_ms), in_window in in_windows(window_s, DURATIONS).items()
        for labels, events in by_labels(in_window).items()
        if any(e.value is not None for e in events)
    }
    sql = f"SELECT * EXCEPT window_s FROM latency WHERE window_s = {window_s}"
    assert await view(filled, sql, "window_start", "metric", "labels") == expected


@pytest.mark.parametrize("window_s", [60, 3600, 86400])
async def test_totals_are_over_all_labels(filled: Client, window_s: int) -> None:
    """`error_rate_total` and `latency_total` are the same numbers over all events of the metric."""
    errors = {
        (instant(start), m): errors_in(events)
        for (m, start), events in in_windows(window_s, set(ERRORS)).items()
        if any(map(in_total, events))
    }
    durations = {
        (instant(start), m): durations_in(events)
        for (m, start), events in in_windows(window_s, DURATIONS).items()
        if any(e.value is not None for e in events)
    }
    key = ("window_start", "metric")
    assert await view(filled, f"SELECT * EXCEPT window_s FROM error_rate_total WHERE window_s = {window_s}", *key) == errors
    assert await view(filled, f"SELECT * EXCEPT window_s FROM latency_total WHERE window_s = {window_s}", *key) == durations


@pytest.mark.parametrize(("end_s", "window_s"), [(3_610, 60), (3_600, 300), (4_000, 3_600), (172_800, 86_400), (50, 60)])
async def test_sliding_windows_end_at_any_pane(filled: Client, end_s: int, window_s: int) -> None:
    """The parameterised views cover [end - window_s, end), whatever pane the end is."""
    end_ms = DAY_MS + end_s * 1000
    inside = [e for e in EVENTS if end_ms - window_s * 1000 <= e.at_ms < end_ms]
    errors, durations = {}, {}
    for metric, (label, _) in ERRORS.items():
        for labels, events in by_labels([e for e in inside if e.metric == metric], without=label).items():
            if any(map(in_total, events)):
                errors[(metric, labels)] = errors_in(events)
    for metric in DURATIONS:
        for labels, events in by_labels([e for e in inside if e.metric == metric]).items():
            if any(e.value is not None for e in events):
                durations[(metric, labels)] = durations_in(events)
    at = f"(end = '{instant(end_ms):%Y-%m-%d %H:%M:%S}', window_s = {window_s})"
    assert await view(filled, f"SELECT * FROM error_rate_at{at}", "metric", "labels") == errors
    assert await view(filled, f"SELECT * FROM latency_at{at}", "metric", "labels") == durations


async def test_all_windows_are_there_and_nothing_else(filled: Client) -> None:
    """Without a condition the views have the seven window lengths of the contract, aligned, and no window without events."""
    for name in ("error_rate", "latency"):
        lengths = await filled.query(
            f"SELECT groupUniqArray(window_s) AS s, max(toUnixTimestamp64Milli(window_start) % (window_s * 1000)) AS rest FROM {name}"
        )
        assert sorted(lengths[0]["s"]) == list(WINDOWS_S)
        assert lengths[0]["rest"] == 0
    assert await filled.query("SELECT * FROM error_rate WHERE labels['provider'] = 'gone' OR labels['queue'] = 'idle' OR total = 0") == []
    assert await filled.query("SELECT * FROM latency WHERE labels['provider'] = 'gone' OR count = 0") == []
