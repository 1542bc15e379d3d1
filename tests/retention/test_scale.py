"""A million users with twenty million active days on the real engine: retention is right, and cheap enough to be asked every minute."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from pipeline.clickhouse.migrations import migrate
from pipeline.runtime.settings import ClickHouse, Settings
from tests.stack_fixtures import ClickHouseServer, embedded_clickhouse

pytestmark = pytest.mark.timeout(900)
USERS, COHORTS, DAYS = 1_000_000, 120, 80
PARTS = 8
BEGIN = date(2026, 7, 1)
#: Every cohort, the last of 28 October too, is past its seventh day, and some are not past their thirtieth.
WATERMARK = "2026-11-20 00:00:00"
MOST_BYTES = 500_000_000
MOST_S = 20.0


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """User u is first active on day u % 120, and again d days later where (7u + 13d) % 4 is 0."""
    with embedded_clickhouse(tmp_path_factory.mktemp("many")) as server:
        asyncio.run(migrate(Settings(clickhouse=ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password)))))
        for part in range(PARTS):
            offsets = f"arrayFilter(d -> d = 0 OR (7 * u + 13 * d) % 4 = 0, range({DAYS}))"
            users = f"SELECT number + {part * USERS // PARTS} AS u FROM numbers({USERS // PARTS})"
            since = f"toDateTime(toDate('{BEGIN}') + u % {COHORTS} + d, 'UTC')"
            server.query(f"INSERT INTO user_days_raw SELECT lower(hex(sipHash128(u))), {since} FROM ({users}) ARRAY JOIN {offsets} AS d")
        server.query(f"INSERT INTO partition_progress VALUES (0, 1, '{WATERMARK}', now64(3))")
        yield server


Flags = NDArray[np.bool_]


def active(n: int) -> Flags:
    """Of every user, whether he is active n days after his first."""
    users = np.arange(USERS)
    return (7 * users + 13 * n) % 4 == 0 if n else np.ones(USERS, bool)


def by_cohort(flags: Flags) -> list[int]:
    return [int(count) for count in np.bincount(np.arange(USERS) % COHORTS, weights=flags, minlength=COHORTS)]


def asked(many: ClickHouseServer, sql: str) -> list[Any]:
    """The first column of the answer; how long it took is told."""
    began = time.monotonic()
    rows = many.query(f"{sql} SETTINGS max_memory_usage = {MOST_BYTES}")
    took_s = time.monotonic() - began
    sys.stderr.write(f"\n{took_s:.2f} s: {sql}\n")
    assert took_s < MOST_S
    return [next(iter(row.values())) for row in rows]


def test_retention_of_a_million_users(many: ClickHouseServer) -> None:
    """D1, D7 and D30 of every cohort, all zeros and ratios included, in seconds and in less memory than a worker has."""
    for n in (1, 7, 30):
        assert asked(many, f"SELECT retained FROM retention WHERE day_n = {n} ORDER BY cohort_day") == by_cohort(active(n))
    week = asked(many, "SELECT retained FROM retention_within WHERE within_days = 2 ORDER BY cohort_day")
    assert week == by_cohort(active(1) | active(2))
    (rows,) = asked(many, "SELECT count() FROM retention")
    assert rows == COHORTS * 31


def test_what_a_rule_asks_every_minute(many: ClickHouseServer) -> None:
    """The retention of the latest mature cohort, on its seventh day."""
    (day,) = asked(many, "SELECT toString(cohort_day) FROM user_retention_7d WHERE mature ORDER BY cohort_day DESC LIMIT 1")
    assert date.fromisoformat(day) == BEGIN + timedelta(days=COHORTS - 1)


def test_monthly_active_users_of_a_million(many: ClickHouseServer) -> None:
    """On the day of the last cohort everybody who came in the last 28 days is active, and who came before if he was there since."""
    last = COHORTS - 1
    users = np.arange(USERS) % COHORTS
    seen = np.zeros(USERS, bool)
    for n in range(DAYS):
        at = users + n
        seen |= active(n) & (at <= last) & (at > last - 28)
    day = BEGIN + timedelta(days=last)
    assert asked(many, f"SELECT active_users FROM monthly_active_users WHERE day = '{day}'") == [int(seen.sum())]
