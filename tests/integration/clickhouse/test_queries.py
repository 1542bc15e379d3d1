"""The questions in `sql/queries`, asked of a small day whose answers are known."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from pipeline.clickhouse.tables import (
    ACCEPTED_RUNS,
    ALERTS_RAW,
    DEAD_LETTERS_RAW,
    DELIVERIES_RAW,
    ESCALATIONS_RAW,
    FIRST_EXPOSURES_RAW,
    PARTITION_PROGRESS,
    USER_DAYS_RAW,
)
from tests.integration.clickhouse.rows import HOUR_MS, event_row, instant, pane_row, write, write_events, write_panes

QUERIES = read_folder(sql_folder("queries"))
#: The last hour that has ended.
HOUR = int(time.time() * 1000) // HOUR_MS * HOUR_MS - HOUR_MS
MONDAY = instant(HOUR).date() - timedelta(days=instant(HOUR).weekday())


def short(middle: int) -> float:
    """What bucket `middle` is shown as, rounded as the queries do."""
    return float(round(2 ** ((middle + 0.5) / 32)))


async def fill_panes(client: Client) -> None:
    full, failed = {"provider": "ollama", "outcome": "full"}, {"provider": "", "outcome": "failed"}
    ok, bad = ({"service": "menu-api", "route": "/m", "status_class": status} for status in ("2xx", "5xx"))
    rows = [
        pane_row("menu_generation", full, HOUR, count=3, total=300_000_000, buckets={200: 2, 210: 1}),
        pane_row("menu_generation", full, HOUR + 10_000, count=1, total=50_000_000, buckets={180: 1}, partition=4),
        pane_row("menu_generation", failed, HOUR, count=1, total=1_000_000_000, buckets={318: 1}),
        pane_row("menu_generation", failed, HOUR - 48 * HOUR_MS, count=9, total=9, buckets={1: 9}),
        pane_row("api_request", ok, HOUR, count=3, total=3, buckets={160: 3}),
        pane_row("api_request", bad, HOUR, count=1, total=1, buckets={320: 1}),
    ]
    await write_panes(client, rows)


async def fill_events(client: Client) -> None:
    vitals = [{"name": "LCP", "page": "/", "value": v, "rating": "poor" if v > 4000 else "good"} for v in (100, 200, 300, 5000, 6000)]
    vital = [
        event_row(UUID(int=i), offset=i, event_type="web_vital", occurred_ms=HOUR, properties=properties)
        for i, properties in enumerate(vitals)
    ]
    late = event_row(UUID(int=90), offset=90, occurred_ms=HOUR - 901_000, received_ms=HOUR)
    clamped = event_row(UUID(int=91), offset=91, occurred_ms=HOUR, received_ms=HOUR, sent_ms=HOUR + HOUR_MS)
    shown = [
        event_row(
            UUID(int=offset),
            offset=offset,
            event_type="feature_exposure",
            occurred_ms=HOUR + offset,
            user_id="u-5",
            properties={"flag": "planner", "variant": variant},
        )
        for offset, variant in ((95, "B"), (96, "A"))
    ]
    await write_events(client, [*vital, late, clamped, *shown])


async def fill_facts(client: Client) -> None:
    at = HOUR / 1000
    people = [("u-1", "A"), ("u-2", "A"), ("u-3", "A"), ("u-4", "B"), ("u-5", "B")]
    await write(
        client, FIRST_EXPOSURES_RAW, [[who, "planner", at + i, str(UUID(int=i)), variant] for i, (who, variant) in enumerate(people)]
    )
    refused = [["events.v1", 0, i, at + i, "missing_field", "x: missing", "", "web_vital", "web", ""] for i in (0, 1, 1)]
    await write(client, DEAD_LETTERS_RAW, refused)


async def fill_user_days(client: Client) -> None:
    first, second, eighth = "2026-03-02", "2026-03-03", "2026-03-09"
    came = [*((f"u-{i}", first) for i in range(5)), ("u-0", second), ("u-1", second), ("u-2", eighth), ("u-9", HOUR // 1000)]
    await write(client, USER_DAYS_RAW, came)


async def fill_incidents(client: Client) -> None:
    def alert(key: str, state: str, after_ms: int) -> dict[str, Any]:
        return {
            "incident_key": key,
            "transition_id": key + state,
            "rule": key,
            "severity": "critical",
            "state": state,
            "at": said(after_ms),
        }

    def said(after_ms: int) -> str:
        return instant(HOUR + after_ms).isoformat()

    alerts = [alert("a", "firing", 0), alert("a", "resolved", 60_000), alert("b", "firing", 5)]
    deliveries = [
        {"incident_key": "a", "delivery_id": "d", "action": "trigger", "outcome": outcome, "attempt": n, "at": said(400 + n)}
        for n, outcome in enumerate(("intended", "retrying", "delivered"))
    ]
    acked = {"incident_key": "a", "escalation_id": "e", "event": "acked", "actor": "ada", "at": said(9_000)}
    for table, records in ((ALERTS_RAW, alerts), (DELIVERIES_RAW, deliveries), (ESCALATIONS_RAW, [acked])):
        await insert(client, table, b"\n".join(orjson.dumps(record) for record in records), len(records))


async def fill_acceptance(client: Client) -> None:
    """A gateway says that it accepted eight records; a worker has read seven of them, one a repeat, and five are events."""
    claim = {"source": "gateway", "count": 8, "positions": [0, 0, 0, 8]}
    row = event_row(UUID(int=92), offset=92, event_type="accepted_count", occurred_ms=HOUR, received_ms=HOUR + 120_000, properties=claim)
    await write_events(client, [row])
    await write(client, ACCEPTED_RUNS, [[3, 0, 6, HOUR / 1000 + 1, "gateway", [6], []]])
    await write(client, PARTITION_PROGRESS, [[3, 8, HOUR / 1000, HOUR / 1000]])


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "01_how_often_do_menus_fail": [(instant(HOUR), "", 1, 1, 100.0), (instant(HOUR), "ollama", 4, 0, 0.0)],
    # In order: buckets 180, 200, 200, 210, 318, so the ranks 3, 5 and 5.
    "02_how_long_do_people_wait_for_a_menu": [(instant(HOUR), 5, 270.0, short(200), short(318), short(318))],
    "03_which_routes_fail_most": [("menu-api", "/m", 4, 1, 25.0, short(160))],
    "04_how_do_pages_feel": [("LCP", "/", 5, None, 40.0)],
    "05_who_saw_which_variant": [
        ("planner", "A", 3, 75.0, instant(HOUR), instant(HOUR + 2000)),
        ("planner", "B", 1, 25.0, instant(HOUR + 3000), instant(HOUR + 3000)),
        ("planner", "multiple", 1, None, instant(HOUR + 4000), instant(HOUR + 4000)),
    ],
    "06_why_are_records_refused": [("web", "web_vital", "missing_field", 2, instant(HOUR), instant(HOUR + 1000), "x: missing")],
    "07_how_fast_were_people_told": [
        ("b", "critical", instant(HOUR + 5), None, None, "", None),
        ("a", "critical", instant(HOUR), 402, 9000, "ada", 60),
    ],
    "08_how_late_do_events_arrive": [("menu-api", 10, 1.0, pytest.approx(847, abs=60), 1, 1, 0)],
    "09_is_anything_lost": [(instant(HOUR), 8, 2, 25.0, 1, 0, 0)],
    # Five people came on a Monday: two were there on the second day, one on the eighth. What comes after today is not known.
    "10_do_people_come_back": [(date(2026, 3, 2), 5, 40.0, 20.0, 0.0), (MONDAY, 1, None, None, None)],
}


@pytest.mark.parametrize("name", QUERIES)
async def test_questions_are_answered(client: Client, name: str) -> None:
    """Each file gives the rows that the small day has, as the reader asks it."""
    for fill in (fill_panes, fill_events, fill_facts, fill_user_days, fill_incidents, fill_acceptance):
        await fill(client)
    rows = await client.query(QUERIES[name])
    assert [tuple(row.values()) for row in rows] == ANSWERS[name]
