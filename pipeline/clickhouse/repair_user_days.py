"""Days of users as the stored events say they are, and how those that are stored differ.

A stored one is wrong when no event of the user is among the events of its part of the day. Facts outlive events: only a part that began
so late that all its events must still be there proves anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str

from pipeline.aggregation.retention import ACTIVE_TYPES, UserDay, part_end
from pipeline.aggregation.watermark import AHEAD_MS
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.repair import STATES_FACTS, in_period, occurred_in_period
from pipeline.clickhouse.state import Progress, positions, rows_of
from pipeline.clickhouse.tables import USER_DAYS_RAW

#: Differences found by one query.
USER_DAYS_AT_ONCE: Final = 10_000
#: Named in one statement.
_NAMED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class UserDayDifference:
    """A part of a day of a user that is stored though there is no event of it, or is not though there is one."""

    active: UserDay
    is_stored: bool


_SINCE: Final = "if(toHour(occurred_at) < 22, toStartOfDay(occurred_at), toDateTime(toStartOfHour(occurred_at), 'UTC'))"
_TYPES: Final = ", ".join(f"'{name}'" for name in sorted(ACTIVE_TYPES))


def _events(condition: str) -> str:
    return f"FROM telemetry.events_raw FINAL WHERE event_type IN ({_TYPES}) AND user_id != '' AND {STATES_FACTS} AND {condition}"


async def differing_user_days(
    client: Client, parts_ms: Sequence[int], progress: Mapping[int, Progress], received_from_ms: int, after: UserDay
) -> list[UserDayDifference]:
    """Up to `USER_DAYS_AT_ONCE` days of users that are not what the events say, by ascending user and part.

    Args:
        client: of ClickHouse.
        parts_ms: begins of parts of days, ascending; all between the first and the last are looked at.
        progress: by partition; every event below has left its fact.
        received_from_ms: every event that was received since is still there.
        after: only those beyond this one.
    """
    sql = f"""
SELECT user_id, toUnixTimestamp(since) * 1000 AS since_ms, max(facts.is_stored) AS is_stored
FROM
(
    SELECT user_id, {_SINCE} AS since, 0 AS is_stored, 1 AS is_event, kafka_offset < {{below:Array(UInt64)}}[kafka_partition + 1] AS is_due
    {_events(occurred_in_period())}
    UNION ALL
    SELECT user_id, since, 1 AS is_stored, 0 AS is_event, 0 AS is_due
    FROM telemetry.user_days_raw WHERE {in_period("since")}
) AS facts
WHERE (user_id, toUnixTimestamp(since) * 1000) > ({{user_id:String}}, {{since_ms:Int64}})
GROUP BY user_id, since
HAVING if(is_stored, NOT max(is_event) AND since_ms >= {{certain_ms:Int64}}, max(is_due))
ORDER BY user_id, since
LIMIT {USER_DAYS_AT_ONCE}"""
    bounds: dict[str, Any] = {"from_ms": parts_ms[0], "to_ms": part_end(parts_ms[-1]), "below": positions(progress)}
    bounds |= {"user_id": after[0], "since_ms": after[1], "certain_ms": received_from_ms + AHEAD_MS}
    rows = await rows_of(client, sql, bounds)
    return [UserDayDifference((user_id, since_ms), bool(is_stored)) for user_id, since_ms, is_stored in rows]


async def confirmed(client: Client, found: Sequence[UserDayDifference]) -> list[UserDayDifference]:
    """Those that still differ: an event and its fact may have been stored while events and facts were read."""
    active = await _with_events(client, [difference.active for difference in found if difference.is_stored])
    return [difference for difference in found if difference.active not in active]


async def repair_user_days(client: Client, found: Sequence[UserDayDifference]) -> None:
    """Remove what has no event, add what has one."""
    wrong = [difference.active for difference in found if difference.is_stored]
    for _, named in _in_groups(wrong):
        await client.command(f"DELETE FROM telemetry.user_days_raw WHERE (user_id, toUnixTimestamp(since)) IN ({named})")
    # An event that has come meanwhile may have left its fact before the others were removed.
    right = [difference.active for difference in found if not difference.is_stored] + sorted(await _with_events(client, wrong))
    rows = [(user_id, since_ms // 1000) for user_id, since_ms in right]
    await insert(client, USER_DAYS_RAW, encode(rows), len(rows))


async def _with_events(client: Client, days: Sequence[UserDay]) -> set[UserDay]:
    active: set[UserDay] = set()
    for some, named in _in_groups(days):
        bounds = {"from_ms": min(since_ms for _, since_ms in some), "to_ms": max(part_end(since_ms) for _, since_ms in some)}
        where = f"{in_period('occurred_at')} AND (user_id, toUnixTimestamp({_SINCE})) IN ({named})"
        rows = await rows_of(client, f"SELECT DISTINCT user_id, toUnixTimestamp({_SINCE}) * 1000 {_events(where)}", bounds)
        active |= {(user_id, since_ms) for user_id, since_ms in rows}
    return active


def _in_groups(days: Sequence[UserDay]) -> Iterator[tuple[Sequence[UserDay], str]]:
    """The days in groups, and each group as pairs of SQL."""
    for start in range(0, len(days), _NAMED_AT_ONCE):
        some = days[start : start + _NAMED_AT_ONCE]
        yield some, ", ".join(f"({format_str(user_id)}, {since_ms // 1000})" for user_id, since_ms in some)
