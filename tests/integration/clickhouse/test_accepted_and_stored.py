from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import orjson

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import ACCEPTED_RUNS, COUNTED_EVENTS, DEAD_LETTERS_RAW, PARTITION_PROGRESS, TABLES
from tests.integration.clickhouse.rows import DAY_MS, event_row, write, write_events

MINUTE_MS = 60_000
SOURCE = "0198c0de-7a1b-7c3d-8e4f-00112233aabb"
Judged = tuple[int | None, int, int, int, int | None]
"""accepted, stored, dead_lettered, repeated, missing."""


def numbered(offset: int) -> UUID:
    return UUID(int=offset + 1)


async def claim(client: Client, count: int, *, minute: int = 0, positions: dict[int, int] | None = None, **fields: Any) -> None:
    """What a gateway says of a minute; `positions` of the partitions it wrote to."""
    at_ms = DAY_MS + minute * MINUTE_MS
    own = {"source": SOURCE, "count": count} | fields
    if positions is not None:
        own["positions"] = [positions.get(partition, 0) for partition in range(12)]
    text = orjson.dumps(own).decode()
    row = event_row(
        uuid5(UUID(SOURCE), f"{at_ms} {text}"), offset=900, partition=7, event_type="accepted_count", occurred_ms=at_ms, properties=own
    )
    await write_events(client, [row])


async def store(client: Client, *offsets: int, partition: int = 3, minute: int = 0, ids: dict[int, UUID] | None = None) -> None:
    """Events of a minute that counted, and their rows."""
    at_ms = DAY_MS + minute * MINUTE_MS + 5_000
    by_offset = {offset: (ids or {}).get(offset, numbered(offset)) for offset in offsets}
    await write_events(
        client,
        [event_row(i, offset=o, partition=partition, occurred_ms=DAY_MS, received_ms=at_ms) for o, i in by_offset.items()],
    )
    await write(client, COUNTED_EVENTS, [[partition, o, str(i), 1, at_ms / 1000] for o, i in by_offset.items()])


async def read(
    client: Client, first: int, last: int, *, partition: int = 3, minute: int = 0, source: str = SOURCE, **aside: list[int]
) -> None:
    """A run of records that a worker has read."""
    at = (DAY_MS + minute * MINUTE_MS + 5_000) / 1000
    await write(client, ACCEPTED_RUNS, [[partition, first, last, at, source, aside.get("repeated", []), aside.get("dead_lettered", [])]])


async def reach(client: Client, position: int, partition: int = 3) -> None:
    """Everything below has had its effects."""
    await write(client, PARTITION_PROGRESS, [[partition, position, DAY_MS / 1000, DAY_MS / 1000]])


async def judged(client: Client, *, minute: int = 0, minutes: int = 1) -> list[Judged]:
    """Of some minutes, in order."""
    end = f"fromUnixTimestamp64Milli({DAY_MS + (minute + minutes) * MINUTE_MS}, 'UTC')"
    rows = await client.query(
        f"SELECT accepted, stored, dead_lettered, repeated, missing FROM telemetry.accepted_and_stored_at(end = {end}, "
        f"window_s = {minutes * 60}) WHERE source = '{SOURCE}' ORDER BY minute"
    )
    return [tuple(row.values()) for row in rows]


async def test_what_was_accepted_and_is_nowhere_is_missing(client: Client) -> None:
    """Of ten records seven are events, one is a repeat, one a dead letter: one is missing, also when two rows say what was read."""
    await store(client, 100, 101, 102, 103, 104, 105, 106)
    await read(client, 100, 108, repeated=[107], dead_lettered=[108])
    await read(client, 103, 108, repeated=[107], dead_lettered=[108])
    await write(
        client, DEAD_LETTERS_RAW, [["nutricoach.telemetry.events.v1", 3, 108, DAY_MS / 1000 + 5, "invalid_json", "", "", "", "", ""]]
    )
    await claim(client, 10, positions={3: 110})
    await reach(client, 110)
    assert await judged(client) == [(10, 7, 1, 1, 1)]


async def test_a_minute_is_judged_when_all_of_its_records_have_been_read(client: Client) -> None:
    """Not while one partition is behind, and not at all without a claim; a claim of nothing more to read is judged."""
    await store(client, 100)
    await read(client, 100, 100)
    await reach(client, 101)
    assert await judged(client) == [(None, 1, 0, 0, None)]
    await claim(client, 2, positions={3: 101, 4: 51})
    assert await judged(client) == [(2, 1, 0, 0, None)]
    await reach(client, 50, partition=4)
    assert await judged(client) == [(2, 1, 0, 0, None)]
    await reach(client, 51, partition=4)
    assert await judged(client) == [(2, 1, 0, 0, 1)]


async def test_claims_of_one_minute_add_up(client: Client) -> None:
    """A later one may come of records that a slow broker stamped; a claim that was sent twice counts once."""
    await store(client, 100, 101, 102)
    await read(client, 100, 102)
    for _ in range(2):
        await claim(client, 2, positions={3: 102})
    await claim(client, 1, positions={3: 103})
    await reach(client, 102)
    assert await judged(client) == [(3, 3, 0, 0, None)]
    await reach(client, 103)
    assert await judged(client) == [(3, 3, 0, 0, 0)]


async def test_an_event_that_was_there_before_is_kept_and_not_missing(client: Client) -> None:
    """Beyond the window a repeat counts, then merges with the first copy: when both are gone, both records are missing."""
    await store(client, 100)
    await store(client, 900_100, partition=5, minute=3, ids={900_100: numbered(100)})
    await client.command("OPTIMIZE TABLE telemetry.events_raw FINAL")
    await read(client, 100, 100)
    await read(client, 900_100, 900_100, partition=5, minute=3)
    await claim(client, 1, positions={3: 101})
    await claim(client, 1, minute=3, positions={5: 900_101})
    await reach(client, 101)
    await reach(client, 900_101, partition=5)
    assert await judged(client, minutes=4) == [(1, 1, 0, 0, 0), (1, 1, 0, 0, 0)]
    assert await judged(client, minute=3) == [(1, 1, 0, 0, 0)], "the first copy lies outside of the minutes that are asked for"
    await client.command(f"DELETE FROM telemetry.events_raw WHERE event_id = '{numbered(100)}'")
    assert await judged(client, minutes=4) == [(1, 0, 0, 0, 1), (1, 0, 0, 0, 1)]


async def test_events_of_others_neither_hide_nor_make_a_loss(client: Client) -> None:
    """Records written to Kafka directly, or accepted by another gateway, are beside the point; so is a claim without positions."""
    await store(client, 100, 102, 103)
    await read(client, 100, 101)
    await read(client, 103, 103, source="another gateway")
    await claim(client, 2, positions={3: 102})
    await claim(client, 1_000_000)
    await reach(client, 200)
    assert await judged(client) == [(2, 1, 0, 0, 1)]


async def test_the_view_of_the_last_day_is_that_of_its_moment(client: Client) -> None:
    """accepted_and_stored has the same columns and ends now, not when it was made."""
    assert ACCEPTED_RUNS in TABLES
    sql = "SELECT toStartOfMinute(now64(3)) AS minute, toInt64(toUnixTimestamp(minute)) AS at"
    (now,) = await client.query(sql)
    for at in (now["at"], now["at"] - 86_300, now["at"] - 86_500):
        await write(client, ACCEPTED_RUNS, [[0, at, at, at, SOURCE, [at], []]])
    rows = await client.query("SELECT toUnixTimestamp(minute) AS at, repeated FROM telemetry.accepted_and_stored ORDER BY minute")
    assert [row["repeated"] for row in rows] == [1, 1]
    (view,) = await client.query("SELECT as_select FROM system.tables WHERE database = 'telemetry' AND name = 'accepted_and_stored'")
    assert "now64(3)" in view["as_select"]
