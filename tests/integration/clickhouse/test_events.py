"""The view `events`: every event once, its first copy, whatever was written again, where and in which order."""

from __future__ import annotations

from itertools import permutations
from uuid import UUID

import pytest

from pipeline.clickhouse.client import Client
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, instant, write_events

ID = UUID("0198c0de-0000-7000-8000-00000000abcd")
#: Received in two months whenever the test runs; neither is old enough to be dropped.
MONTH_MS = 31 * 24 * HOUR_MS


async def places(client: Client, condition: str = "1") -> list[tuple[int, int]]:
    rows = await client.query(f"SELECT kafka_partition, kafka_offset FROM events WHERE {condition} ORDER BY 1, 2")
    return [(row["kafka_partition"], row["kafka_offset"]) for row in rows]


async def test_an_event_is_read_as_it_was_written(client: Client) -> None:
    """Every column of the contract comes back, to the millisecond, and missing strings are ''."""
    row = event_row(
        ID, offset=2**40, occurred_ms=DAY_MS + 1, received_ms=DAY_MS + 999, sent_ms=DAY_MS + HOUR_MS, properties={"a": 'x"\\\n'}
    )
    await write_events(client, [row])
    assert await client.query("SELECT * FROM events") == [
        {
            "event_id": ID,
            "event_type": "menu_generated",
            "occurred_at": instant(DAY_MS + 1),
            "received_at": instant(DAY_MS + 999),
            "service": "menu-api",
            "version": "",
            "environment": "production",
            "user_id": "u-1",
            "session_id": "",
            "trace_id": "",
            "flags": {"new-planner": "B"},
            "properties": '{"a":"x\\"\\\\\\n"}',
            "kafka_partition": 3,
            "kafka_offset": 2**40,
            "time_clamped": True,
            "source_name": "",
            "bot_reasons": [],
            "clock_skew_ms": 0,
            "schema_ok": True,
            "schema_errors": [],
        }
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_first_copy_wins_across_partitions_and_months(client: Client, order: tuple[int, ...]) -> None:
    """The copy received first is the one that is read, in whatever order and in whatever months the copies were stored."""
    copies = [
        event_row(ID, partition=7, offset=90, received_ms=DAY_MS - MONTH_MS),
        event_row(ID, partition=3, offset=10, received_ms=DAY_MS - MONTH_MS + 1),
        event_row(ID, partition=1, offset=5, received_ms=DAY_MS),
    ]
    for i in order:
        await write_events(client, [copies[i]])
    assert await places(client) == [(7, 90)]


async def test_ties_are_broken_by_partition_then_offset(client: Client) -> None:
    """Copies received in the same millisecond: the lower partition, then the lower offset, is the first."""
    at = DAY_MS
    await write_events(
        client, [event_row(ID, partition=4, offset=1, received_ms=at), event_row(ID, partition=2, offset=2**40, received_ms=at)]
    )
    await write_events(client, [event_row(ID, partition=2, offset=2**40 - 1, received_ms=at)])
    assert await places(client) == [(2, 2**40 - 1)]


async def test_a_condition_never_brings_a_later_copy_to_light(client: Client) -> None:
    """What a query asks for is looked for among first copies: months and granules that hold only later ones show nothing."""
    await write_events(client, [event_row(ID, partition=3, offset=7, received_ms=DAY_MS - MONTH_MS)])
    await write_events(client, [event_row(ID, partition=3, offset=9, received_ms=DAY_MS, occurred_ms=DAY_MS - 1, sent_ms=DAY_MS)])
    assert await places(client) == [(3, 7)]
    for later_only in (
        f"received_at >= fromUnixTimestamp64Milli({DAY_MS - 1000})",
        "kafka_offset = 9",
        f"occurred_at < fromUnixTimestamp64Milli({DAY_MS})",
        "time_clamped",
    ):
        assert await places(client, later_only) == []


async def test_writing_again_changes_nothing(client: Client) -> None:
    """The same rows again, alone or among others, leave every event once; merges do not matter."""
    rows = [event_row(UUID(int=i), offset=i, occurred_ms=DAY_MS + i * 60_000) for i in range(100)]
    await write_events(client, rows)
    await write_events(client, rows[30:])
    await write_events(client, rows[:31])
    expected = [(3, i) for i in range(100)]
    assert await places(client) == expected
    await client.command("OPTIMIZE TABLE telemetry.events_raw FINAL")
    assert await places(client) == expected


async def test_the_same_id_under_another_hour_or_type_is_another_event(client: Client) -> None:
    """Copies meet by what the client sent: type, hour and id."""
    await write_events(
        client,
        [
            event_row(ID, offset=1),
            event_row(ID, offset=2, event_type="recipe_view"),
            event_row(ID, offset=3, occurred_ms=DAY_MS + HOUR_MS),
        ],
    )
    assert await places(client) == [(3, 1), (3, 2), (3, 3)]


async def test_typed_views_have_properties_as_columns(client: Client) -> None:
    """A view of one event type shows its events with typed properties, NULL where an optional one is absent."""
    full = {
        "recipe_count": 5,
        "restrictions": ["vegan", "sans gluten é"],
        "generation_time_ms": 1240,
        "outcome": "full",
        "provider": "ollama",
        "menu_id": None,
    }
    await write_events(client, [event_row(ID, offset=1, properties=full), event_row(UUID(int=1), offset=2, event_type="recipe_view")])
    await write_events(client, [event_row(ID, offset=3, received_ms=DAY_MS + 5_000)])
    rows = await client.query(
        "SELECT recipe_count, restrictions, generation_time_ms, outcome, provider, menu_id, error_type, kafka_offset FROM menu_generated"
    )
    assert rows == [{**full, "generation_time_ms": 1240.0, "error_type": None, "kafka_offset": 1}]


async def test_events_of_all_centuries_are_stored(client: Client) -> None:
    """A valid event is insertable, whenever it says it occurred: a flush may hold any years from 1990 to 2100."""
    years = [631_152_000_000, 4_133_980_799_999, *(631_152_000_000 + i * 30 * 24 * HOUR_MS for i in range(1, 1_300))]
    await write_events(client, [event_row(UUID(int=i), offset=i, occurred_ms=ms, received_ms=DAY_MS) for i, ms in enumerate(years)])
    span = await client.query("SELECT count() AS n, min(occurred_at) AS low, max(occurred_at) AS high FROM events")
    assert span == [{"n": len(years), "low": instant(years[0]), "high": instant(years[1])}]
