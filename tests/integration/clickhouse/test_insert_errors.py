"""What a worker hears when rows cannot be written: Stop when they never can, RetryAfter when they may later."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import SecretStr

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import EVENTS_RAW, PANES_RAW, PARTITION_PROGRESS, Table
from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop
from pipeline.runtime.settings import ClickHouse
from tests.integration.clickhouse.relay import relay_to
from tests.integration.clickhouse.rows import DAY_MS, event_row, pane_row


def _with(row: list[Any], column: str, value: Any, table: Table = EVENTS_RAW) -> list[Any]:
    return [value if name == column else old for name, old in zip(table.columns, row, strict=True)]


GOOD = event_row(UUID(int=1), offset=1)
REFUSED = {
    "no UUID": _with(GOOD, "event_id", "not-a-uuid"),
    "a number for a string": _with(GOOD, "user_id", 5),
    "an object for a string": _with(GOOD, "properties", {"a": 1}),
    "a string for a number": _with(GOOD, "kafka_offset", "x"),
    "no time": _with(GOOD, "received_at", "yesterday"),
    "a column too few": GOOD[:-1],
    "a column too many": [*GOOD, 1],
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_row_stops_the_worker_and_stores_nothing(client: Client, row: list[Any]) -> None:
    """One line names the table and what ClickHouse said; the good rows beside it are not stored either."""
    rows = orjson.dumps([GOOD, row])[1:-1]
    with pytest.raises(Stop, match=r"^inserting into telemetry.events_raw: ClickHouse refuses it \(\d+: .+\)$") as refused:
        await insert(client, EVENTS_RAW, rows, 2)
    assert "\n" not in str(refused.value)
    assert await client.query("SELECT count() AS n FROM events") == [{"n": 0}]


async def test_the_line_does_not_quote_the_row(client: Client) -> None:
    """What ClickHouse repeats of the data stays out of the line: it may be somebody's."""
    row = _with(_with(GOOD, "user_id", "someone@example.com"), "kafka_offset", "secret-of-someone")
    with pytest.raises(Stop) as refused:
        await insert(client, EVENTS_RAW, orjson.dumps(row), 1)
    assert "someone" not in str(refused.value)


async def test_an_unknown_table_says_what_to_run(client: Client) -> None:
    """A database that was not migrated is said to be so."""
    with pytest.raises(Stop, match="run `telemetry migrate` first"):
        await insert(client, Table("telemetry.nowhere", ("a",)), b"[1]", 1)


async def test_rows_that_got_lost_on_the_way_are_noticed(client: Client) -> None:
    """The count ClickHouse says it wrote must be the count that was sent."""
    row = pane_row("recipe_interaction", {"action": "view"}, DAY_MS, count=1)
    with pytest.raises(Stop, match="sent 3 rows, ClickHouse says it wrote 2"):
        await insert(client, PANES_RAW, orjson.dumps([row, row])[1:-1], 3)


async def test_no_rows_are_no_call() -> None:
    """Nothing to write needs no ClickHouse."""
    await insert(Client(ClickHouse(url="http://127.0.0.1:1")), EVENTS_RAW, b"", 0)


async def test_large_inserts_arrive_whole(client: Client) -> None:
    """100,000 rows in one insert, more than any block or segment of ClickHouse, comma or line end between them."""
    rows = [orjson.dumps(event_row(UUID(int=i), offset=i, properties={"a": "x" * 200})) for i in range(50_000)]
    await insert(client, EVENTS_RAW, b",".join(rows), len(rows))
    await insert(client, EVENTS_RAW, b"\n".join(row.replace(b",3,", b",4,") for row in rows), len(rows))
    assert await client.query("SELECT count() AS n, uniqExact(event_id) AS ids FROM events") == [{"n": 50_000, "ids": 50_000}]


async def test_only_the_writer_writes(migrated: ClickHouse) -> None:
    """Without credentials the connection reads; writing says which settings name the writer."""
    reader = Client(ClickHouse(url=migrated.url))
    assert await reader.query("SELECT count() AS n FROM events WHERE 0") == [{"n": 0}]
    with pytest.raises(ConfigurationError, match="TELEMETRY_CLICKHOUSE__USER"):
        await insert(reader, PARTITION_PROGRESS, b"[0,0,0,0]", 1)
    with pytest.raises(ConfigurationError, match="TELEMETRY_CLICKHOUSE__USER"):
        await Client(ClickHouse(url=migrated.url, user=migrated.user, password=SecretStr("wrong"))).query("SELECT 1")


@contextmanager
def _listening(backlog: int = 8) -> Iterator[str]:
    """A socket that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _closed_port() -> str:
    with _listening() as url:
        return url


async def test_nobody_listening_is_for_later() -> None:
    """A refused connection is RetryAfter, at once."""
    began = time.monotonic()
    with pytest.raises(RetryAfter, match="does not answer"):
        await insert(Client(ClickHouse(url=_closed_port())), PARTITION_PROGRESS, b"[0,0,0,0]", 1)
    assert time.monotonic() - began < 3


async def test_a_hung_server_is_for_later_within_bounds() -> None:
    """A server that accepts and never answers costs each of many calls the read timeout, not more."""
    with _listening(backlog=64) as url:
        client = Client(ClickHouse(url=url), read_timeout_s=1)
        began = time.monotonic()
        errors = await asyncio.gather(*(client.query("SELECT 1") for _ in range(12)), return_exceptions=True)
        assert [type(error) for error in errors] == [RetryAfter] * 12
        assert time.monotonic() - began < 5


async def test_a_server_that_hangs_later_is_for_later_within_bounds(migrated: ClickHouse) -> None:
    """A known server that stops answering, or taking what is sent, is given up; once it moves again the same client goes on."""
    async with relay_to(migrated.url) as (url, relay):
        client = Client(migrated.model_copy(update={"url": url}), read_timeout_s=1)
        assert await client.query("SELECT 1 AS x") == [{"x": 1}]
        relay.moving.clear()
        for call in (client.query("SELECT 1"), insert(client, EVENTS_RAW, b"x" * (32 << 20), 1)):
            began = time.monotonic()
            with pytest.raises(RetryAfter, match="does not answer"):
                await call
            assert time.monotonic() - began < 8
        relay.moving.set()
        assert await client.query("SELECT 1 AS x") == [{"x": 1}]
        await client.close()


async def test_load_is_for_later(client: Client) -> None:
    """What passes by itself, such as a query over its memory limit, is RetryAfter with ClickHouse's code."""
    with pytest.raises(RetryAfter, match=r"cannot now \(241: "):
        await client.query("SELECT groupArray(number) FROM numbers(10000000) SETTINGS max_memory_usage = 1000000")
