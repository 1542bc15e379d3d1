"""Retention against a computation over the same activity in plain Python: days of both calendars, zeros, maturity."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.aggregation.retention import part_of_day
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import PARTITION_PROGRESS, USER_DAYS_RAW
from schemas.timestamps import to_ms
from tests.integration.clickhouse.rows import write

PARIS = ZoneInfo("Europe/Paris")
#: Around the change to winter time on 2026-10-25: before it days in Paris begin at 22:00 UTC, after it at 23:00.
BEGIN = datetime(2026, 10, 18, tzinfo=UTC)
WATERMARK = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)

Activity = list[tuple[str, datetime]]
Calendar = pytest.mark.parametrize(("suffix", "zone"), [("", UTC), ("_paris", PARIS)], ids=["utc", "paris"])


def activity() -> Activity:
    """What 60 users did in 34 days, many of them in the hours where the calendars differ."""
    chance = random.Random(5)
    at = []
    for user in range(60):
        joined = chance.randrange(12)
        for _ in range(chance.randrange(1, 15)):
            hour = chance.choice([0, 12, 21, 22, 22, 23, 23])
            instant = BEGIN + timedelta(days=joined + chance.randrange(22), hours=hour, seconds=chance.randrange(3600))
            at.append((f"u-{user}", min(instant, WATERMARK)))
    return at


async def store(client: Client, done: Activity, watermark: datetime = WATERMARK) -> None:
    """In two inserts that overlap, in any order, with a partition that is behind."""
    rows = [[user, part_of_day(to_ms(at)) // 1000] for user, at in done]
    random.Random(1).shuffle(rows)
    await write(client, USER_DAYS_RAW, rows[: len(rows) * 2 // 3])
    await write(client, USER_DAYS_RAW, rows[len(rows) // 3 :])
    await write(client, PARTITION_PROGRESS, [[0, 9, watermark.timestamp(), 0], [1, 9, BEGIN.timestamp(), 0]])


def days_of(done: Iterable[tuple[str, datetime]], zone: tzinfo) -> dict[str, list[date]]:
    days: dict[str, set[date]] = defaultdict(set)
    for user, at in done:
        days[user].add(at.astimezone(zone).date())
    return {user: sorted(found) for user, found in days.items()}


def has_ended(day: date, zone: tzinfo) -> bool:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone) <= WATERMARK


def cohorts_of(days: dict[str, list[date]]) -> dict[date, list[list[date]]]:
    cohorts: dict[date, list[list[date]]] = defaultdict(list)
    for found in days.values():
        cohorts[found[0]].append(found)
    return cohorts


async def rows_of(client: Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await client.query(sql)]


@Calendar
async def test_days_and_cohorts(client: Client, suffix: str, zone: tzinfo) -> None:
    """Each user and day once, whatever is stored twice; a user's cohort is the first of them."""
    done = activity()
    await store(client, done)
    days = days_of(done, zone)
    assert len({day for found in days.values() for day in found}) > 20
    rows = await rows_of(client, f"SELECT user_id, day FROM user_days{suffix} ORDER BY user_id, day")
    assert rows == sorted((user, day) for user, found in days.items() for day in found)
    rows = await rows_of(client, f"SELECT user_id, cohort_day, days FROM user_cohorts{suffix} ORDER BY user_id")
    assert rows == sorted((user, found[0], found) for user, found in days.items())


@Calendar
async def test_retention(client: Client, suffix: str, zone: tzinfo) -> None:
    """Every n from 0 to 30 of every cohort: who was active on that very day, and a ratio once the day has ended."""
    done = activity()
    await store(client, done)
    expected = []
    for cohort, users in sorted(cohorts_of(days_of(done, zone)).items()):
        for n in range(31):
            day = cohort + timedelta(days=n)
            retained = sum(day in found for found in users)
            mature = has_ended(day, zone)
            expected.append((cohort, n, len(users), retained, retained / len(users) if mature else None, mature))
    rows = await rows_of(client, f"SELECT * FROM retention{suffix} ORDER BY cohort_day, day_n")
    assert rows == expected
    kinds = {(mature, retained > 0) for _, _, _, retained, _, mature in expected}
    assert {(True, True), (True, False), (False, False)} <= kinds


@Calendar
async def test_retention_within(client: Client, suffix: str, zone: tzinfo) -> None:
    """Every n from 1 to 30 of every cohort: who came back on any of the n days after the first, once all have ended."""
    done = activity()
    await store(client, done)
    expected = []
    for cohort, users in sorted(cohorts_of(days_of(done, zone)).items()):
        for n in range(1, 31):
            last = cohort + timedelta(days=n)
            retained = sum(any(cohort < day <= last for day in found) for found in users)
            mature = has_ended(last, zone)
            expected.append((cohort, n, len(users), retained, retained / len(users) if mature else None, mature))
    assert await rows_of(client, f"SELECT * FROM retention_within{suffix} ORDER BY cohort_day, within_days") == expected


@Calendar
async def test_weekly_retention(client: Client, suffix: str, zone: tzinfo) -> None:
    """Every n from 0 to 12 of every cohort: weeks begin on Monday, and have a ratio once their Sunday has ended."""
    done = activity()
    await store(client, done)
    weeks: dict[date, list[set[date]]] = defaultdict(list)
    for found in days_of(done, zone).values():
        mondays = [day - timedelta(days=day.weekday()) for day in found]
        weeks[mondays[0]].append(set(mondays))
    expected = []
    for cohort, users in sorted(weeks.items()):
        for n in range(13):
            monday = cohort + timedelta(weeks=n)
            retained = sum(monday in found for found in users)
            mature = has_ended(monday + timedelta(days=6), zone)
            expected.append((cohort, n, len(users), retained, retained / len(users) if mature else None, mature))
    assert len(weeks) > 1
    assert await rows_of(client, f"SELECT * FROM retention_weekly{suffix} ORDER BY cohort_week, week_n") == expected


async def test_an_earlier_day_moves_a_user_to_another_cohort(client: Client) -> None:
    """A late event of a day before the first makes that day the cohort's, in every row."""
    await store(client, [("u", BEGIN + timedelta(days=3)), ("u", BEGIN + timedelta(days=5))])
    within = "SELECT cohort_day, retained FROM retention_within WHERE within_days = 2"
    assert await rows_of(client, within) == [(date(2026, 10, 21), 1)]
    await store(client, [("u", BEGIN)])
    assert await rows_of(client, within) == [(date(2026, 10, 18), 0)]
    returned = await rows_of(client, "SELECT cohort_day, day_n FROM retention WHERE retained = 1 ORDER BY day_n")
    assert returned == [(date(2026, 10, 18), 0), (date(2026, 10, 18), 3), (date(2026, 10, 18), 5)]


async def test_a_day_is_mature_to_the_millisecond(client: Client) -> None:
    """The last day has ended when the highest watermark is its end, and not a millisecond before."""
    midnight = datetime(2026, 10, 26, tzinfo=UTC)
    mature = "SELECT countIf(mature) FROM retention WHERE day_n = 7"
    await store(client, [("u", BEGIN)], midnight - timedelta(milliseconds=1))
    assert await rows_of(client, mature) == [(0,)]
    await write(client, PARTITION_PROGRESS, [[0, 10, midnight.timestamp(), 0]])
    assert await rows_of(client, mature) == [(1,)]
