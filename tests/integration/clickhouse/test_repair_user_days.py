"""Days of users that differ from their events: found, confirmed and repaired by the functions that `telemetry reconcile` calls."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pipeline.aggregation.retention import UserDay
from pipeline.clickhouse import repair_user_days as repair
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair_user_days import UserDayDifference, confirmed, differing_user_days
from pipeline.clickhouse.state import Progress
from pipeline.clickhouse.tables import USER_DAYS_RAW
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, write, write_events

PARTS = [DAY_MS, DAY_MS + 22 * HOUR_MS, DAY_MS + 23 * HOUR_MS]
PROGRESS = {3: Progress(100, DAY_MS)}
LONG_AGO = DAY_MS - 80 * 24 * HOUR_MS


async def store(client: Client, *days: UserDay) -> None:
    await write(client, USER_DAYS_RAW, [[user, since_ms // 1000] for user, since_ms in days])


async def differences(client: Client, parts: list[int] | None = None, received_from_ms: int = LONG_AGO) -> list[tuple[UserDay, bool]]:
    found = await differing_user_days(client, parts or PARTS, PROGRESS, received_from_ms, ("", 0))
    return [(difference.active, difference.is_stored) for difference in found]


async def test_each_part_of_a_day_is_compared(client: Client) -> None:
    """What has an event and no row is missing, what has a row and no event is extra, each in its own part of the day."""
    hours = (0, 21, 22, 23)
    events = [event_row(uuid4(), offset=hour, occurred_ms=DAY_MS + hour * HOUR_MS + 3_599_999, user_id=f"at-{hour}") for hour in hours]
    await write_events(client, [*events, event_row(uuid4(), offset=50, occurred_ms=DAY_MS + 24 * HOUR_MS, user_id="next day")])
    assert await differences(client) == [
        (("at-0", PARTS[0]), False),
        (("at-21", PARTS[0]), False),
        (("at-22", PARTS[1]), False),
        (("at-23", PARTS[2]), False),
    ]
    assert await differences(client, PARTS[1:2]) == [(("at-22", PARTS[1]), False)]
    await store(client, ("at-0", PARTS[0]), ("at-21", PARTS[1]), ("at-22", PARTS[1]), ("at-23", PARTS[2]))
    assert await differences(client) == [(("at-21", PARTS[0]), False), (("at-21", PARTS[1]), True)]


async def test_only_what_states_facts_makes_a_day(client: Client) -> None:
    """Bots, broken properties, nobody's events, other types, and copies of what another partition has first, make none."""
    first = uuid4()
    await write_events(
        client,
        [
            event_row(uuid4(), offset=1, user_id="bot", bot_reasons=["crawler"]),
            event_row(uuid4(), offset=2, user_id="broken", schema_errors=["recipe_count: missing"]),
            event_row(uuid4(), offset=3, user_id=None, session_id="s"),
            event_row(uuid4(), offset=4, user_id="payer", event_type="payment"),
            event_row(first, offset=5, user_id="second", received_ms=DAY_MS + 2_000),
            event_row(first, offset=6, user_id="first", received_ms=DAY_MS + 1_000),
        ],
    )
    assert await differences(client) == [(("first", DAY_MS), False)]


async def test_what_a_worker_has_not_reached_is_not_missing_but_keeps_a_day_right(client: Client) -> None:
    """An event beyond the progress may not have left its fact yet; if it has, that is no day too many."""
    await write_events(client, [event_row(uuid4(), offset=100, user_id=user) for user in ("a", "b")])
    await store(client, ("b", DAY_MS), ("c", DAY_MS))
    assert await differences(client) == [(("c", DAY_MS), True)]


async def test_a_day_outlives_its_events(client: Client) -> None:
    """Ten minutes after the oldest event that must be there begins what can be proven; days before stay, missing ones are still added."""
    await store(client, ("gone", DAY_MS))
    await write_events(client, [event_row(uuid4(), offset=1, user_id="there")])
    proven_ms = DAY_MS - 600_000
    assert await differences(client, received_from_ms=proven_ms + 1) == [(("there", DAY_MS), False)]
    assert await differences(client, received_from_ms=proven_ms) == [(("gone", DAY_MS), True), (("there", DAY_MS), False)]


async def test_an_event_that_has_come_meanwhile_is_respected(client: Client) -> None:
    """A day found without an event is neither reported nor removed for good once its event is stored."""
    await store(client, ("late", DAY_MS), ("made up", DAY_MS))
    found = await differing_user_days(client, PARTS, PROGRESS, LONG_AGO, ("", 0))
    await write_events(client, [event_row(uuid4(), offset=100, user_id="late")])
    assert await confirmed(client, found) == [UserDayDifference(("made up", DAY_MS), True)]
    await repair.repair_user_days(client, found)
    assert await client.query("SELECT user_id, toUnixTimestamp(since) AS s FROM user_days_raw") == [
        {"user_id": "late", "s": DAY_MS // 1000}
    ]


async def test_many_differences_come_page_by_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page goes on where the one before ended, within a user too."""
    monkeypatch.setattr(repair, "USER_DAYS_AT_ONCE", 50)
    monkeypatch.setattr(repair, "_NAMED_AT_ONCE", 20)
    days = [(f"u-{i:05d}", part) for i in range(20) for part in PARTS]
    await store(client, *days)
    first = await differing_user_days(client, PARTS, PROGRESS, LONG_AGO, ("", 0))
    second = await differing_user_days(client, PARTS, PROGRESS, LONG_AGO, first[-1].active)
    assert len(first) == 50
    assert [difference.active for difference in (*first, *second)] == days
    await repair.repair_user_days(client, [*first, *second])
    assert await differences(client) == []
