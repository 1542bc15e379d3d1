"""What the alerting topics say of groups, context, series and failovers is a column of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

import schemas
from pipeline.agents.archive import ARCHIVED, archive
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import ALERTS_RAW, DECISIONS_RAW, DELIVERIES_RAW, ESCALATIONS_RAW, Table
from pipeline.runtime.ledger import Ledger
from pipeline.runtime.producer import Message

EXAMPLES = Path(schemas.__file__).parent / "examples"


def example(path: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{path}.json").read_bytes())
    return document


class At:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return 1_795_428_000_000

    def monotonic(self) -> float:
        return 0.0


async def copy(client: Client, table: Table, *values: bytes) -> list[Message]:
    """Archive records of the topic with these values; what went to the dead letters."""
    (archived,) = (one for one in ARCHIVED if one.table is table)
    topic = archived.topic.name
    records = [ConsumerRecord(topic, 0, n, 0, 0, b"key", value, None, 3, len(value), ()) for n, value in enumerate(values)]
    ledger = Ledger(TopicPartition(topic, 0), 0)
    sent: list[Message] = []

    async def send(messages: Sequence[Message]) -> None:
        assert ledger.committable == 0, "a chunk is done before its letters are sent"
        sent.extend(messages)

    await archive(client, archived, ledger.deliver(records, 0, 0.0), send, At())
    assert ledger.committable == len(values)
    return sent


async def store(client: Client, table: Table, *records: dict[str, Any]) -> None:
    assert await copy(client, table, *(json.dumps(record).encode() for record in records)) == []


def parsed(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return row | {name: json.loads(row[name]) for name in names}


async def test_an_alert_has_its_context(client: Client) -> None:
    """Owner and context are as on the topic; an alert without context has none."""
    alert, bare = example("alert/valid/whole"), example("alert/valid/retro-fired-unknown-watermark")
    await store(client, ALERTS_RAW, alert, bare)
    rows = await client.query("SELECT owner, context FROM alerts ORDER BY at")
    assert parsed(rows[0], "context") == {name: alert[name] for name in ("owner", "context")}
    assert rows[1]["context"] == ""


async def test_an_escalation_has_its_group(client: Client) -> None:
    """Members as JSON and their number; an event that its group tells is not told by itself."""
    names = ("group_key", "notify", "members_total", "until", "members")
    events = [example(f"escalation/valid/{name}") for name in ("snoozed", "step-due-of-a-group", "told-with-its-group")]
    await store(client, ESCALATIONS_RAW, *events)
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
        await store(client, table, record)
    key = example("delivery/valid/delivered")["incident_key"]
    assert await client.query("SELECT group_key, notify FROM escalations") == [{"group_key": key, "notify": True}]
    assert await client.query("SELECT group_key, failover FROM deliveries") == [{"group_key": key, "failover": None}]


async def test_a_delivery_has_who_stands_in(client: Client) -> None:
    """The receiver that is told instead, and where the message is."""
    await store(client, DELIVERIES_RAW, *(example(f"delivery/valid/{name}") for name in ("delivered", "failed-over")))
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
    await store(client, DECISIONS_RAW, example(f"decision/valid/{kind}"))
    assert await client.query("SELECT kind, labels, state, series, reading FROM decisions") == [{"kind": kind, **expected}]


async def test_a_reading_can_be_read_back(client: Client) -> None:
    """The answer of ClickHouse is there, whole."""
    decision = example("decision/valid/reading")
    await store(client, DECISIONS_RAW, decision)
    (row,) = await client.query("SELECT reading FROM decisions WHERE kind = 'reading'")
    assert json.loads(row["reading"]) == decision["reading"]


async def test_deliveries_are_decisions_too(client: Client) -> None:
    """One place answers "why was I not paged?": what was decided, held back, and what became of each notification."""
    await store(client, DECISIONS_RAW, example("decision/valid/whole"), example("decision/valid/suppression"))
    await store(client, DELIVERIES_RAW, example("delivery/valid/intended"), example("delivery/valid/retrying"))
    columns = "kind, verdict, receiver, outcome, reason"
    rows = await client.query(f"SELECT {columns} FROM decisions WHERE rule = 'Menu Generation Critical' AND kind = 'delivery' ORDER BY at")
    assert [tuple(row.values()) for row in rows] == [
        ("delivery", "", "slack-critical", "intended", "slack-critical: intended, step 0 is due"),
        ("delivery", "", "slack-critical", "retrying", "slack-critical: retrying, the receiver asks to wait 30 s"),
    ]
    assert await client.query("SELECT kind, count() AS n FROM decisions GROUP BY kind ORDER BY kind") == [
        {"kind": kind, "n": n} for kind, n in (("delivery", 2), ("suppression", 1), ("verdict", 1))
    ]


async def test_what_does_not_belong_there_is_a_dead_letter(client: Client) -> None:
    """Neighbours are stored; the letter names the place and what is wrong, and has the bytes as they came."""
    good = json.dumps(example("decision/valid/whole")).encode()
    bad = [b"", b"{", b"[]", json.dumps(example("decision/invalid/kind-unknown")).encode(), b"\xff\xfe"]
    letters = await copy(client, DECISIONS_RAW, bad[0], good, *bad[1:])
    assert await client.query("SELECT count() AS n FROM decisions") == [{"n": 1}]
    assert [letter.value for letter in letters] == bad
    headers = [dict(letter.headers) for letter in letters]
    assert [(one["dlq.topic"], one["dlq.offset"]) for one in headers] == [
        (b"nutricoach.telemetry.decisions.v1", str(offset).encode()) for offset in (0, 2, 3, 4, 5)
    ]
    assert headers[3]["dlq.reason"].startswith(b"kind: Input should be")


#: What our parser takes and ClickHouse, given the same bytes, may not.
STRANGE: dict[str, dict[str, Any]] = {
    "numbers as texts": {"value": "0.0625", "numerator": "3250"},
    "not a number": {"value": float("nan"), "threshold": float("inf"), "numerator": 1e308},
    "times as numbers": {"at": 1_795_428_053.412, "since": "1795428053"},
    "the end of time": {"window_to": "9999-12-31T23:59:59.999Z", "window_from": "0001-01-01T00:00:00Z"},
    "another zone": {"at": "2026-11-23T11:00:53.412+01:00"},
    "control characters": {"summary": "a\u0000b\n\u2028", "labels": {"": "\t", "x'": "\\"}},
}


@pytest.mark.parametrize("fields", STRANGE.values(), ids=STRANGE.keys())
async def test_what_is_understood_never_stops_the_archive(client: Client, fields: dict[str, Any]) -> None:
    """However it is written: ClickHouse would refuse the row, and the worker would end."""
    await store(client, ALERTS_RAW, example("alert/valid/whole") | fields)
    assert await client.query("SELECT count() AS n FROM alerts") == [{"n": 1}]


async def test_numbers_without_bounds_never_stop_the_archive(client: Client) -> None:
    """A step or an attempt that no column holds is stored as some other number, and its neighbours as they are."""
    huge = {"step": -(10**30), "attempt": 10**30}
    await store(client, DELIVERIES_RAW, example("delivery/valid/delivered") | huge, example("delivery/valid/intended"))
    assert await client.query("SELECT count() AS n FROM deliveries") == [{"n": 2}]


@pytest.mark.parametrize(
    ("table", "record"),
    [
        (DELIVERIES_RAW, example("delivery/valid/delivered") | {"http_status": -1}),
        (DECISIONS_RAW, example("decision/valid/minute") | {"series": {"firing": -1}}),
    ],
    ids=["status", "series"],
)
async def test_numbers_that_clickhouse_refuses_are_dead_letters(client: Client, table: Table, record: dict[str, Any]) -> None:
    """Below nothing there is no status and no count: such a record ended the worker."""
    assert len(await copy(client, table, json.dumps(record).encode())) == 1
