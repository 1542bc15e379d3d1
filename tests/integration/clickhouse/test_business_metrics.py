"""The business metrics of the seed, each view against the same metric in plain Python over the same events."""

from __future__ import annotations

from datetime import UTC, date, timedelta, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from pipeline.aggregation.retention import user_day
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.migrations import all_views
from pipeline.clickhouse.tables import FIRST_EXPOSURES_RAW, PARTITION_PROGRESS, USER_DAYS_RAW
from schemas.event_types import EVENT_TYPES
from schemas.timestamps import to_ms
from tests.integration.clickhouse.business import ACTIVE, BEGIN, DAILY, HOUR_S, WATERMARK, WINDOWED, Event, events, has_ended
from tests.integration.clickhouse.rows import event_row, write, write_events
from tests.integration.clickhouse.test_repair_check import panes_of, write_snapshots

ZONES: dict[str, tzinfo] = {"": UTC, "_paris": ZoneInfo("Europe/Paris")}
EVENTS = events()
#: The seed's list `businessMetrics`, and its service level indicators, of which `error_rate` is the contract's.
NAMED_BY_THE_SEED = [
    "menus_generated_daily",
    "recipes_viewed_daily",
    "user_retention_7d",
    "avg_generation_time",
    "api_response_time_p95",
    "error_rate_percentage",
    "conversion_signup_to_first_menu",
    "customer_satisfaction_score",
    "monthly_active_users",
    "availability",
    "menu_generation_latency",
    "error_rate",
    "user_satisfaction",
    "feature_adoption",
]


def stored_row(event: Event, offset: int) -> list[Any]:
    reasons = ["crawler"] if event.is_bot else []
    at_ms = to_ms(event.at)
    return event_row(
        event.id,
        offset=offset,
        event_type=event.type,
        occurred_ms=at_ms,
        properties=event.properties,
        user_id=event.user,
        bot_reasons=reasons,
    )


async def store(client: Client, done: list[Event]) -> None:
    """Events, their panes and their facts, as a worker leaves them."""
    rows = [stored_row(event, offset) for offset, event in enumerate(done)]
    await write_events(client, [*rows, *rows[:50]])
    await write_snapshots(client, panes_of(rows))
    active = {user_day({"user_id": event.user}, to_ms(event.at)) for event in done if event.type in ACTIVE and not event.is_bot}
    await write(client, USER_DAYS_RAW, [[day[0], day[1] // 1000] for day in active if day])
    await write(client, PARTITION_PROGRESS, [[3, len(done), WATERMARK.timestamp(), 0]])


async def rows_of(client: Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await client.query(sql)]


async def assert_rows(client: Client, sql: str, expected: list[tuple[Any, ...]], last_off: float = 1e-9) -> None:
    """`last_off`: so far the last column may be off, relatively; sums of floats are only as exact as their order lets them be."""
    rows = await rows_of(client, sql)
    off = [1e-9] * (len(expected[0]) - 1) + [last_off]
    assert rows == [
        tuple(pytest.approx(value, rel=rel) if isinstance(value, float) else value for value, rel in zip(row, off, strict=True))
        for row in expected
    ]


def test_every_metric_the_seed_names_has_its_view() -> None:
    """Under the seed's own name, and none has the name of an event type, whose typed view it would replace."""
    views = all_views()
    assert [name for name in NAMED_BY_THE_SEED if name not in views] == []
    assert set(NAMED_BY_THE_SEED).isdisjoint(EVENT_TYPES)


@pytest.mark.parametrize("suffix", ZONES)
async def test_daily_metrics(client: Client, suffix: str) -> None:
    """Each day has what its events say, in days of either calendar; repeats and bots are in none."""
    await store(client, EVENTS)
    for name, compute in DAILY.items():
        expected = compute(EVENTS, ZONES[suffix])
        assert len(expected) >= 8, name
        await assert_rows(client, f"SELECT * FROM {name}{suffix} ORDER BY 1, 2", expected)


async def test_windowed_metrics(client: Client) -> None:
    """Each hour has what its events say; a p95 is at most 1.1 % off, everything else exact."""
    await store(client, EVENTS)
    for name, compute in WINDOWED.items():
        expected = compute(EVENTS)
        assert len(expected) >= 20, name
        sql = f"SELECT * FROM {name} WHERE window_s = {HOUR_S} ORDER BY 1, 2, 3"
        await assert_rows(client, sql, expected, 1e-9 if name in {"error_rate_percentage", "availability"} else 0.011)


@pytest.mark.parametrize("suffix", ZONES)
async def test_d7_is_retention_on_day_seven(client: Client, suffix: str) -> None:
    """Users who are back on the seventh day, out of those first active on the day; no ratio before that day has ended."""
    await store(client, EVENTS)
    days: dict[str, set[date]] = {}
    for event in EVENTS:
        if event.type in ACTIVE and not event.is_bot:
            days.setdefault(event.user, set()).add(event.day(ZONES[suffix]))
    expected = []
    for cohort in sorted({min(found) for found in days.values()}):
        users = [found for found in days.values() if min(found) == cohort]
        seventh = cohort + timedelta(days=7)
        retained = sum(seventh in found for found in users)
        mature = has_ended(seventh, ZONES[suffix])
        expected.append((cohort, len(users), retained, retained / len(users) if mature else None, mature))
    assert await rows_of(client, f"SELECT * FROM user_retention_7d{suffix} ORDER BY cohort_day") == expected


async def test_feature_adoption(client: Client) -> None:
    """Users with a menu among the users active in the 28 days before the highest watermark, which itself belongs to them."""
    edge = WATERMARK - timedelta(days=28)
    old = [Event(UUID(int=10_000 + i), "menu_generated", edge + timedelta(milliseconds=i), f"limit-{i}", {}, False) for i in (0, 1)]
    done = [event for event in EVENTS if int(event.user.rsplit("-", 1)[1]) % 4 or event.type != "menu_generated"] + old
    await store_events_only(client, done)
    recent = [event for event in done if event.at > edge and event.type in ACTIVE and not event.is_bot]
    active, with_menu = {event.user for event in recent}, {event.user for event in recent if event.type == "menu_generated"}
    assert {"limit-1"} < with_menu < active
    rows = await rows_of(client, "SELECT * FROM feature_adoption")
    assert rows == [(WATERMARK, len(active), len(with_menu), pytest.approx(len(with_menu) / len(active)))]


async def store_events_only(client: Client, done: list[Event]) -> None:
    await write_events(client, [stored_row(event, offset) for offset, event in enumerate(done)])
    await write(client, PARTITION_PROGRESS, [[3, len(done), WATERMARK.timestamp(), 0]])


async def test_who_saw_two_variants_is_set_apart(client: Client) -> None:
    """A subject of one variant belongs to it, one of several to none; of two flags each is judged alone, and a bot sees nothing."""

    def shown(number: int, subject: str, variant: str, flag: str = "planner", bot: bool = False) -> list[Any]:
        return event_row(
            UUID(int=number),
            offset=number,
            event_type="feature_exposure",
            occurred_ms=to_ms(BEGIN) + number,
            properties={"flag": flag, "variant": variant},
            user_id=None if subject.startswith("s-") else subject,
            session_id=subject,
            bot_reasons=["crawler"] if bot else [],
        )

    await write_events(
        client,
        [
            shown(1, "u-1", "A"),
            shown(2, "u-1", "A"),
            shown(3, "u-2", "B"),
            shown(4, "u-2", "A"),
            shown(5, "s-3", "B"),
            shown(6, "s-3", "A", bot=True),
            shown(7, "u-1", "B", flag="other"),
        ],
    )
    firsts = [("u-1", "planner", 1, "A"), ("u-2", "planner", 3, "B"), ("s-3", "planner", 5, "B"), ("u-1", "other", 7, "B")]
    # The events of the last one are gone, its fact is not.
    rows = [*firsts, ("u-4", "planner", 0, "A")]
    at = BEGIN.timestamp()
    await write(client, FIRST_EXPOSURES_RAW, [[who, flag, at + n / 1000, str(UUID(int=n)), variant] for who, flag, n, variant in rows])
    found = await rows_of(client, "SELECT flag, subject, variant, variants FROM exposure_variants ORDER BY flag, subject")
    assert found == [
        ("other", "u-1", "B", ["B"]),
        ("planner", "s-3", "B", ["B"]),
        ("planner", "u-1", "A", ["A"]),
        ("planner", "u-2", "multiple", ["A", "B"]),
        ("planner", "u-4", "A", ["A"]),
    ]
