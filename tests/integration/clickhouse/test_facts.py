"""Every other table: whatever is written again, or older and later, changes nothing that is read."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import orjson
import pytest

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.repair_marks import load_stale
from pipeline.clickhouse.tables import (
    ALERTS_RAW,
    COUNTED_EVENTS,
    DEAD_LETTERS_RAW,
    DECISIONS_RAW,
    DELIVERIES_RAW,
    ESCALATIONS_RAW,
    FIRST_EXPOSURES_RAW,
    PARTITION_PROGRESS,
    STALE_HOURS,
    Table,
)
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, instant, pane_row, write, write_panes

DAY_S = DAY_MS // 1000
E1, E2 = "0198c0de-0000-7000-8000-000000000001", "f198c0de-0000-7000-0000-000000000000"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_higher_version_of_a_pane_wins(client: Client, order: tuple[int, ...]) -> None:
    """A repair beats the fold it had read, a later fold beats the repair, in whatever order and month they are stored."""
    labels = {"provider": "ollama", "outcome": "failed"}
    versions = [
        pane_row("menu_generation", labels, DAY_MS, count=5, last_offset=50, version=100),
        pane_row("menu_generation", labels, DAY_MS, count=6, last_offset=49, version=101, received_ms=DAY_MS - 40 * 24 * HOUR_MS),
        pane_row("menu_generation", dict(reversed(labels.items())), DAY_MS, count=7, last_offset=51, version=102, buckets={-32768: 7}),
    ]
    for i in order:
        await write_panes(client, [versions[i]])
    rows = await client.query("SELECT count, buckets, version FROM panes")
    assert rows == [{"count": 7, "buckets": {-32768: 7}, "version": 102}]


async def test_panes_of_partitions_are_apart(client: Client) -> None:
    """The same series and start on two partitions are two panes."""
    labels = {"action": "view"}
    await write_panes(client, [pane_row("recipe_interaction", labels, DAY_MS, count=n, partition=n) for n in (1, 2)] * 2)
    assert await client.query("SELECT source_partition AS p, count FROM panes ORDER BY p") == [{"p": n, "count": n} for n in (1, 2)]


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_the_first_exposure_wins(client: Client, order: tuple[int, ...]) -> None:
    """The earliest exposure of a subject to a flag is kept, at one instant the one with the smaller event id, as text."""
    exposures = [
        ["u-1", "planner", DAY_S + 5, E1, "late"],
        ["u-1", "planner", DAY_S + 1.001, E2, "tie"],
        ["u-1", "planner", DAY_S + 1.001, E1, "first"],
        ["u-2", "planner", DAY_S + 9, E2, "other"],
    ]
    for i in order:
        await write(client, FIRST_EXPOSURES_RAW, [exposures[i]])
    assert await client.query("SELECT * FROM first_exposures ORDER BY subject") == [
        {"subject": "u-1", "flag": "planner", "variant": "first", "first_at": instant(DAY_MS + 1_001)},
        {"subject": "u-2", "flag": "planner", "variant": "other", "first_at": instant(DAY_MS + 9_000)},
    ]


@pytest.mark.parametrize(
    ("table", "rows", "columns"),
    [
        (PARTITION_PROGRESS, [[3, 100, DAY_S, DAY_S], [3, 90, DAY_S - 9, DAY_S + 9], [3, 100, DAY_S, DAY_S]], {"position": 100}),
        (COUNTED_EVENTS, [[3, 7, E1, 2**64 - 1, DAY_S]] * 3, {"kafka_offset": 7, "content_hash": 2**64 - 1}),
        (DEAD_LETTERS_RAW, [["t", 1, 2, DAY_S, "bad", "why", None, None, None, "{"]] * 3, {"kafka_offset": 2, "event_id": ""}),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else None,
)
async def test_rows_of_one_key_are_one_row(client: Client, table: Table, rows: list[list[Any]], columns: dict[str, Any]) -> None:
    """Progress never goes back; counted events and dead letters are one row each."""
    for row in rows:
        await write(client, table, [row])
    assert await client.query(f"SELECT {', '.join(columns)} FROM {table.name} FINAL") == [columns]


async def test_marks_are_cleared_only_up_to_what_was_read(client: Client) -> None:
    """An hour is stale while a mark lies above what its repairs had read; the order of writing does not matter."""
    mark, clear = [3, DAY_S, 0, -1], [3, DAY_S, -1, 0]
    await write(client, STALE_HOURS, [clear, mark])
    assert await load_stale(client, [3]) == {}
    await write(client, STALE_HOURS, [[3, DAY_S, 41, -1], [3, DAY_S + 3600, 40, -1], [4, DAY_S, 7, -1]])
    await write(client, STALE_HOURS, [[3, DAY_S, -1, 40], [3, DAY_S + 3600, -1, 40], mark])
    assert await load_stale(client, [3]) == {(3, DAY_MS): 41}
    assert await load_stale(client, [2, 3, 4]) == {(3, DAY_MS): 41, (4, DAY_MS): 7}


TERM = {"text": "error_rate > 5%", "verdict": "true", "value": 0.5}
ALERT: dict[str, Any] = {
    "schema_version": 1,
    "transition_id": "b" * 64,
    "incident_key": "a" * 64,
    "rule": "Menu Generation Critical",
    "severity": "critical",
    "state": "firing",
    "at": "2026-11-23T10:00:03.123Z",
    "since": "2026-11-23T10:00:00.000Z",
    "condition": "error_rate > 5%",
    "term": "error_rate > 5%",
    "value": 0.5,
    "threshold": 0.05,
    "unit": "ratio",
    "numerator": 10,
    "denominator": 20.0,
    "window_from": "2026-11-23T09:59:00.000Z",
    "window_to": "2026-11-23T10:00:00.000Z",
    "judged_to": "2026-11-23T10:00:00.000Z",
    "watermark": None,
    "labels": {"provider": "ollama"},
    "terms": [TERM],
    "gates": [],
    "sql": "SELECT 1",
    "window_sql": "SELECT 2",
    "summary": "it's bad",
    "reason": "r",
    "runbook": "x",
    "channels": ["slack-critical", "pagerduty"],
}
ARCHIVES: list[tuple[Table, str, dict[str, Any], dict[str, Any]]] = [
    (ALERTS_RAW, "alerts", ALERT, {"terms": orjson.dumps([TERM]).decode(), "channels": ALERT["channels"], "numerator": 10.0}),
    (
        ESCALATIONS_RAW,
        "escalations",
        {
            "incident_key": "a",
            "escalation_id": "e",
            "event": "step_due",
            "step": 0,
            "target": None,
            "due_at": None,
            "at": ALERT["at"],
            "plan": [{"step": 1}],
            "alert": ALERT,
        },
        {"step": 0, "target": None, "plan": '[{"step":1}]', "alert": orjson.dumps(ALERT).decode()},
    ),
    (
        DELIVERIES_RAW,
        "deliveries",
        {
            "incident_key": "a",
            "delivery_id": "d",
            "outcome": "delivered",
            "attempt": 1,
            "at": ALERT["at"],
            "http_status": 200,
            "resent": True,
        },
        {"http_status": 200, "resent": True, "attempt": 1},
    ),
    (
        DECISIONS_RAW,
        "decisions",
        {"decision_id": "d", "rule": "r", "kind": "verdict", "at": ALERT["at"], "previous": None, "window_from": None, "terms": [TERM]},
        {"previous": None, "window_from": None, "terms": orjson.dumps([TERM]).decode()},
    ),
]


@pytest.mark.parametrize(("table", "view", "record", "expected"), ARCHIVES, ids=[archive[1] for archive in ARCHIVES])
async def test_records_are_archived_as_they_came(
    client: Client, table: Table, view: str, record: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A topic's record is one row: nested parts as JSON, fields of a newer version left out; again and later, the first one stays."""
    later = record | {"at": "2026-11-24T10:00:00.000Z", "reason": "published again", "a_field_of_a_newer_version": {"x": [1]}}
    for values in ([later], [record, later], [later]):
        await insert(client, table, b"\n".join(orjson.dumps(value) for value in values), len(values))
    rows = await client.query(f"SELECT at, {', '.join(expected)} FROM {view}")
    assert rows == [{"at": instant(1_795_428_003_123), **expected}]
