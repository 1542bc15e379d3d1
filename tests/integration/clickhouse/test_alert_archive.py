"""What the alerting topics say of groups, context, series and failovers is a column of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import schemas
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import ALERTS_RAW, DECISIONS_RAW, DELIVERIES_RAW, ESCALATIONS_RAW, Table

EXAMPLES = Path(schemas.__file__).parent / "examples"


def example(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{path}.json").read_bytes())
    return document


async def archive(client: Client, table: Table, *records: dict[str, Any]) -> None:
    await insert(client, table, b"\n".join(json.dumps(record).encode() for record in records), len(records))


def parsed(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return row | {name: json.loads(row[name]) for name in names}


async def test_an_alert_has_its_context(client: Client) -> None:
    """Owner and context are as on the topic; an alert without context has none."""
    alert, bare = example("alert/valid/whole"), example("alert/valid/retro-fired-unknown-watermark")
    await archive(client, ALERTS_RAW, alert, bare)
    rows = await client.query("SELECT owner, context FROM alerts ORDER BY at")
    assert parsed(rows[0], "context") == {name: alert[name] for name in ("owner", "context")}
    assert rows[1]["context"] == ""


async def test_an_escalation_has_its_group(client: Client) -> None:
    """Members as JSON and their number; an event that its group tells is not told by itself."""
    names = ("group_key", "notify", "members_total", "until", "members")
    events = [example(f"escalation/valid/{name}") for name in ("snoozed", "step-due-of-a-group", "told-with-its-group")]
    await archive(client, ESCALATIONS_RAW, *events)
    rows = await client.query(f"SELECT escalation_id, {', '.join(names)} FROM escalations")
    stored = {row["escalation_id"]: parsed(row, "members") for row in rows}
    for event in events:
        row = stored[event["escalation_id"]]
        assert {name: row[name] for name in names if name != "until"} == {name: event[name] for name in names if name != "until"}
    assert [row["until"] for row in stored.values() if row["until"]] == [datetime(2026, 11, 23, 11, 1, 10, tzinfo=UTC)]


async def test_what_was_archived_before_there_were_groups_is_alone(client: Client) -> None:
    """Records of the previous version are groups of one, told by themselves."""
    new = {"group_key", "notify", "members", "members_total", "until", "failover", "message_ref"}
    for table, name in ((ESCALATIONS_RAW, "escalation/valid/step-due"), (DELIVERIES_RAW, "delivery/valid/delivered")):
        record = {field: value for field, value in example(name).items() if field not in new}
        await archive(client, table, record)
    key = example("delivery/valid/delivered")["incident_key"]
    assert await client.query("SELECT group_key, notify FROM escalations") == [{"group_key": key, "notify": True}]
    assert await client.query("SELECT group_key, failover FROM deliveries") == [{"group_key": key, "failover": None}]


async def test_a_delivery_has_who_stands_in(client: Client) -> None:
    """The receiver that is told instead, and where the message is."""
    await archive(client, DELIVERIES_RAW, *(example(f"delivery/valid/{name}") for name in ("delivered", "failed-over")))
    rows = await client.query("SELECT outcome, failover, message_ref FROM deliveries ORDER BY attempt")
    assert rows == [
        {"outcome": "delivered", "failover": None, "message_ref": "C0123456789:1795428053.512300"},
        {"outcome": "failed_over", "failover": "dev-team", "message_ref": None},
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("minute", {"labels": {"host": "web-1"}, "state": "pending", "series": {"inactive": 38, "pending": 2}, "reading": ""}),
        ("heartbeat", {"labels": {}, "state": None, "series": {}, "reading": ""}),
    ],
)
async def test_a_decision_has_its_series(client: Client, kind: str, expected: dict[str, Any]) -> None:
    """Labels and state of the series that was judged, and how many others are in which state."""
    await archive(client, DECISIONS_RAW, example(f"decision/valid/{kind}"))
    assert await client.query("SELECT kind, labels, state, series, reading FROM decisions") == [{"kind": kind, **expected}]


async def test_a_reading_can_be_read_back(client: Client) -> None:
    """The answer of ClickHouse is there, whole."""
    decision = example("decision/valid/reading")
    await archive(client, DECISIONS_RAW, decision)
    (row,) = await client.query("SELECT reading FROM decisions WHERE kind = 'reading'")
    assert json.loads(row["reading"]) == decision["reading"]


async def test_deliveries_are_decisions_too(client: Client) -> None:
    """One place answers "why was I not paged?": what was decided, held back, and what became of each notification."""
    await archive(client, DECISIONS_RAW, example("decision/valid/whole"), example("decision/valid/suppression"))
    await archive(client, DELIVERIES_RAW, example("delivery/valid/intended"), example("delivery/valid/retrying"))
    columns = "kind, verdict, receiver, outcome, reason"
    rows = await client.query(f"SELECT {columns} FROM decisions WHERE rule = 'Menu Generation Critical' AND kind = 'delivery' ORDER BY at")
    assert [tuple(row.values()) for row in rows] == [
        ("delivery", "", "slack-critical", "intended", "slack-critical: intended, step 0 is due"),
        ("delivery", "", "slack-critical", "retrying", "slack-critical: retrying, the receiver asks to wait 30 s"),
    ]
    assert await client.query("SELECT kind, count() AS n FROM decisions GROUP BY kind ORDER BY kind") == [
        {"kind": kind, "n": n} for kind, n in (("delivery", 2), ("suppression", 1), ("verdict", 1))
    ]
