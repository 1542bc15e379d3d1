"""Rows as a worker sends them, written down independently of the worker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import EVENTS_RAW, PANES_RAW, Table

HOUR_MS = 3_600_000
#: 00:00 UTC of the day before yesterday: recent enough for every TTL.
DAY_MS = (int(datetime.now(UTC).timestamp()) // 86_400 - 2) * 86_400_000


def instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def write(client: Client, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    await insert(client, table, orjson.dumps(list(rows))[1:-1], len(rows))


def event_row(
    event_id: UUID,
    *,
    offset: int,
    partition: int = 3,
    event_type: str = "menu_generated",
    occurred_ms: int = DAY_MS,
    received_ms: int | None = None,
    sent_ms: int | None = None,
    properties: dict[str, Any] | None = None,
    user_id: str | None = "u-1",
    session_id: str | None = None,
    bot_reasons: Sequence[str] = (),
    schema_errors: Sequence[str] = (),
) -> list[Any]:
    sent_ms = occurred_ms if sent_ms is None else sent_ms
    return [
        str(event_id),
        event_type,
        occurred_ms / 1000,
        (occurred_ms + 1_000 if received_ms is None else received_ms) / 1000,
        "menu-api",
        None,
        "production",
        user_id,
        session_id,
        None,
        {"new-planner": "B"},
        orjson.dumps(properties or {}).decode(),
        partition,
        offset,
        sent_ms != occurred_ms,
        None,
        sent_ms / 1000,
        2**64 - 1,
        bot_reasons,
        0,
        schema_errors,
    ]


def pane_row(
    metric: str,
    labels: dict[str, str],
    start_ms: int,
    *,
    count: int,
    partition: int = 0,
    total: int = 0,
    buckets: dict[int, int] | None = None,
    last_offset: int = 10,
    received_ms: int | None = None,
    version: int = 20,
) -> list[Any]:
    by_index = {str(index): n for index, n in (buckets or {}).items()}
    received_ms = start_ms + 500 if received_ms is None else received_ms
    return [metric, labels, start_ms / 1000, partition, count, total, by_index, last_offset, received_ms / 1000, version]


async def write_events(client: Client, rows: Iterable[Sequence[Any]]) -> None:
    await write(client, EVENTS_RAW, list(rows))


async def write_panes(client: Client, rows: Iterable[Sequence[Any]]) -> None:
    await write(client, PANES_RAW, list(rows))
