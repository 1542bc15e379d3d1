"""Ten minutes of menus, chosen so that every number of the dashboard can be worked out by hand.

    minute   menus                                              made by
    10:00    6 full of 1,000 ms; 2 failed, 30,000 and 42,000 ms   ollama; claude
    10:01    none
    10:02    3 degraded of 500 ms                               ollama
    10:05    1 failed of 100 ms; 1 failed of 100 ms             ollama; no provider

The highest watermark is 10:05:45. Beside them: panes and menus outside the range shown, another metric, older snapshots, copies.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pipeline.clickhouse.tables import ALERTS_RAW, EVENTS_RAW, PANES_RAW, PARTITION_PROGRESS, Table
from tests.contract.grafana.macros import TimeRange

# Yesterday at ten: rows are dropped some day after they were received, so fixed dates would not last.
TEN = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=1)
SHOWN = TimeRange(int((TEN - timedelta(minutes=10)).timestamp() * 1000), int((TEN + timedelta(minutes=30)).timestamp() * 1000))
LONG_AGO = TimeRange(1_500_000_000_000, 1_500_003_600_000)  # before anything there is


def at(minutes: float, seconds: float = 0) -> datetime:
    """So long after ten."""
    return TEN + timedelta(minutes=minutes, seconds=seconds)


def pane(start: datetime, partition: int, provider: str, outcome: str, buckets: Mapping[int, int], sum_ms: int, offset: int) -> list[Any]:
    labels = {"provider": provider, "outcome": outcome}
    counts = {str(bucket): count for bucket, count in buckets.items()}
    total = sum(buckets.values())
    return [
        "menu_generation",
        labels,
        start.timestamp(),
        partition,
        total,
        sum_ms * 1_000_000,
        counts,
        offset,
        start.timestamp(),
        2 * offset,
    ]


def panes() -> list[list[Any]]:
    # Bucket of v ms: i with 2^(i/32) < v <= 2^((i+1)/32), so floor(32 * log2 v) here:
    # 1,000 -> 318.9, 30,000 -> 475.9, 42,000 -> 491.5, 500 -> 286.9, 100 -> 212.6
    requests = ["api_request", {"service": "menu-api", "route": "/menus", "status_class": "5xx"}, at(0).timestamp(), 0, 50]
    return [
        pane(at(0), 0, "ollama", "full", {318: 4}, 4_000, offset=70),  # superseded by the next
        pane(at(0), 0, "ollama", "full", {318: 6}, 6_000, offset=90),
        pane(at(0, 30), 3, "claude", "failed", {475: 1, 491: 1}, 72_000, offset=40),
        pane(at(2, 10), 0, "ollama", "degraded", {286: 3}, 1_500, offset=120),
        pane(at(5), 3, "ollama", "failed", {212: 1}, 100, offset=60),
        pane(at(5, 50), 5, "", "failed", {212: 1}, 100, offset=10),
        pane(at(-120), 0, "ollama", "failed", {318: 99}, 99_000, offset=20),  # not shown
        [*requests, 50_000_000, {"0": 50}, 95, at(0).timestamp(), 190],
    ]


def menu(occurred: datetime, outcome: str, error_type: str | None, offset: int, copy_of: int | None = None) -> list[Any]:
    properties: dict[str, Any] = {"generation_time_ms": 100.0, "outcome": outcome, "recipe_count": 1, "restrictions": []}
    if error_type is not None:
        properties["error_type"] = error_type
    event_id = str(uuid.UUID(int=offset if copy_of is None else copy_of))
    received = occurred.timestamp() + offset / 1000
    return [
        event_id, "menu_generated", occurred.timestamp(), received, "menu-api", "1", "test", "u", "", "", {},
        orjson.dumps(properties).decode(), 0, offset, False, "", occurred.timestamp(), 1, [], 0, [],
    ]  # fmt: skip


def menus() -> list[list[Any]]:
    return [
        menu(at(0, 1), "full", None, 1),
        menu(at(0, 31), "failed", "timeout", 2),
        menu(at(0, 40), "failed", "timeout", 3),
        menu(at(0, 40), "failed", "timeout", 4, copy_of=3),
        menu(at(2, 10), "degraded", "timeout", 5),
        menu(at(5), "failed", None, 6),
        menu(at(-120), "failed", "quota", 7),  # not shown
    ]


def alert(incident: str, state: str, decided: datetime, rule: str, severity: str, since: datetime) -> dict[str, Any]:
    return {
        "incident_key": incident, "transition_id": f"{incident}-{state}", "rule": rule, "severity": severity, "state": state,
        "at": decided.timestamp(), "since": since.timestamp(), "condition": "error_rate > 5%", "term": "error_rate > 5%",
        "value": 0.25, "threshold": 0.05, "unit": "ratio", "numerator": 2, "denominator": 8,
        "window_from": at(0).timestamp(), "window_to": at(1).timestamp(), "judged_to": at(1).timestamp(), "watermark": None,
        "labels": {}, "terms": [], "gates": [], "sql": "", "window_sql": "", "summary": f"{incident} is {state}", "reason": "",
        "runbook": "runbooks/menus.md", "channels": ["slack-critical"],
    }  # fmt: skip


def alerts() -> list[dict[str, Any]]:
    critical = "Menu Generation Critical"
    opened = alert("b", "firing", at(5, 10), critical, "critical", at(5))
    return [
        alert("a", "firing", at(1), critical, "critical", at(0, 30)),
        alert("a", "resolved", at(4), critical, "critical", at(3)),
        opened,
        opened,  # open incidents are published again every day
        alert("c", "retro_fired", at(2), critical, "critical", at(1)),
        alert("d", "firing", at(-120), "pipeline_stalled", "high", at(-121)),
    ]


def progress(now: datetime) -> list[list[Any]]:
    """Partition 0 was flushed 40 s before `now`, partition 3 an hour before; an older row of partition 0 waits to be merged."""
    return [
        [0, 100, at(3).timestamp(), (now - timedelta(hours=2)).timestamp()],
        [0, 121, at(4, 20).timestamp(), (now - timedelta(seconds=40)).timestamp()],
        [3, 61, at(5, 45).timestamp(), (now - timedelta(hours=1)).timestamp()],
    ]


def everything(now: datetime) -> list[tuple[Table, bytes, int]]:
    """(table, rows as they are sent, how many) of all of the above."""
    tables: list[tuple[Table, list[Any]]] = [
        (PANES_RAW, panes()),
        (EVENTS_RAW, menus()),
        (ALERTS_RAW, alerts()),
        (PARTITION_PROGRESS, progress(now)),
    ]
    return [(table, b"\n".join(orjson.dumps(row) for row in rows), len(rows)) for table, rows in tables]
