"""What a repair of closed hours reads: the events of one partition as they count, what its panes say, and how old the hours are.

Hours are given by their starts in ms since 1970, ascending; several are read at once, because each query costs more than its rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.aggregation.panes import Snapshot
from pipeline.aggregation.watermark import HOUR_MS
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import rows_of, snapshots

#: Of `events_raw FINAL`: what is counted at all, and what states facts; of what bots do only some metrics take notice.
COUNTS: Final = "schema_ok"
STATES_FACTS: Final = "schema_ok AND empty(bot_reasons)"

#: So many events are in memory at a time.
_PAGE: Final = 50_000


def in_period(column: str) -> str:
    """The condition that a DateTime64 column lies in [from_ms, to_ms), two parameters of the query."""
    begin, end = (f"fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')" for name in ("from_ms", "to_ms"))
    return f"{column} >= {begin} AND {column} < {end}"


def within_hours(column: str) -> str:
    """The condition that a DateTime64 column lies in one of the hours that `hour_bounds` binds."""
    return f"""{in_period(column)}
    AND intDiv(toUnixTimestamp64Milli({column}), {HOUR_MS}) IN {{hours:Array(Int64)}}"""


def occurred_in_period() -> str:
    """The same of events, beginning with the hours they may have been sent in: only those are a condition on the primary key."""
    sent = f"SELECT toStartOfHour(sent_at) FROM telemetry.events_raw WHERE {in_period('occurred_at')}"
    return f"toStartOfHour(sent_at) IN ({sent}) AND {in_period('occurred_at')}"


_EVENTS: Final = f"kafka_partition = {{partition:UInt16}} AND {within_hours('occurred_at')}"
_PANES: Final = f"source_partition = {{partition:UInt16}} AND {within_hours('start')}"


def hour_bounds(hours_ms: Sequence[int]) -> dict[str, Any]:
    """The parameters of `within_hours`."""
    return {"from_ms": hours_ms[0], "to_ms": hours_ms[-1] + HOUR_MS, "hours": [hour_ms // HOUR_MS for hour_ms in hours_ms]}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What the fold needs of an event of `events_raw`; times in ms since 1970, properties JSON."""

    offset: int
    event_type: str
    occurred_ms: int
    received_ms: int
    service: str
    properties: bytes
    bot_reasons: Sequence[str] = ()

    def event(self) -> dict[str, Any]:
        """The parts of the event that `catalogue.feeds` reads."""
        return {
            "event_type": self.event_type,
            "source": {"service": self.service},
            "properties": orjson.loads(self.properties),
            "bot_reasons": self.bot_reasons,
        }


async def event_pages(client: Client, partition: int, hours_ms: Sequence[int], below_offset: int) -> AsyncIterator[list[StoredEvent]]:
    """The first copies of the partition's events that occurred in the hours, by ascending offset below `below_offset`, page by page.

    A copy whose first one is on another partition is not among them: it counts there.
    """
    # The inner query finds, by the index on occurred_at, the few sent hours to look in: only those are a condition on the primary key,
    # and with FINAL a condition on anything else reads most of the table (40 times slower on a million events).
    sql = f"""
SELECT
    kafka_offset, event_type, toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), service, properties, bot_reasons
FROM telemetry.events_raw FINAL
WHERE toStartOfHour(sent_at) IN (SELECT toStartOfHour(sent_at) FROM telemetry.events_raw WHERE {_EVENTS})
    AND {_EVENTS} AND {COUNTS} AND kafka_offset >= {{from:UInt64}} AND kafka_offset < {{below:UInt64}}
ORDER BY kafka_offset
LIMIT {_PAGE}"""
    bounds = {"partition": partition, "from": 0, "below": max(below_offset, 0)} | hour_bounds(hours_ms)
    while rows := await rows_of(client, sql, bounds):
        yield [
            StoredEvent(offset, event_type, occurred_ms, received_ms, service, properties.encode(), bot_reasons)
            for offset, event_type, occurred_ms, received_ms, service, properties, bot_reasons in rows
        ]
        if len(rows) < _PAGE:
            return
        bounds["from"] = rows[-1][0] + 1


async def hours_panes(client: Client, partition: int, hours_ms: Sequence[int]) -> list[Snapshot]:
    """The newest snapshot of each pane of the partition that starts in the hours."""
    return await snapshots(client, _PANES, {"partition": partition} | hour_bounds(hours_ms))


async def first_received_ms(client: Client, partition: int, hours_ms: Sequence[int]) -> dict[int, int]:
    """When the first record of each of the partition's hours was received; hours of which nothing is known are left out.

    Panes outlive events, so they are asked too: events that are gone must not make an hour look young.
    """
    sql = f"""
SELECT hour, min(first_ms)
FROM
(
    SELECT intDiv(toUnixTimestamp64Milli(occurred_at), {HOUR_MS}) AS hour, toUnixTimestamp64Milli(min(received_at)) AS first_ms
    FROM telemetry.events_raw WHERE {_EVENTS} GROUP BY hour
    UNION ALL
    SELECT intDiv(toUnixTimestamp64Milli(start), {HOUR_MS}) AS hour, toUnixTimestamp64Milli(min(first_received_at)) AS first_ms
    FROM telemetry.panes_raw WHERE {_PANES} GROUP BY hour
)
GROUP BY hour"""
    rows = await rows_of(client, sql, {"partition": partition} | hour_bounds(hours_ms))
    return {hour * HOUR_MS: first_ms for hour, first_ms in rows}


async def events_by_hour(client: Client, partition: int, hours_ms: Sequence[int]) -> dict[int, int]:
    """How many rows, copies included, each of the partition's hours has; hours without any are left out."""
    sql = f"""
SELECT intDiv(toUnixTimestamp64Milli(occurred_at), {HOUR_MS}) AS hour, count()
FROM telemetry.events_raw WHERE {_EVENTS} GROUP BY hour"""
    rows = await rows_of(client, sql, {"partition": partition} | hour_bounds(hours_ms))
    return {hour * HOUR_MS: n for hour, n in rows}


async def repeated_panes(client: Client, partition: int, hours_ms: Sequence[int]) -> dict[int, str]:
    """Panes, by start, of the hours' events that counted on the partition though their first copy is elsewhere in the log.

    Returns:
        "repeat" where the first copy is on the partition itself, further back than the repeat window; "repeat_elsewhere" where it is
        on another one.
    """
    sent = f"toStartOfHour(sent_at) IN (SELECT toStartOfHour(sent_at) FROM telemetry.events_raw WHERE {within_hours('occurred_at')})"
    sql = f"""
SELECT intDiv(toUnixTimestamp64Milli(first.occurred_at), 10000) * 10000 AS start, min(first.kafka_partition = {{partition:UInt16}})
FROM
(
    SELECT event_id, occurred_at, kafka_partition, kafka_offset FROM telemetry.events_raw FINAL
    WHERE {sent} AND {within_hours("occurred_at")}
) AS first
INNER JOIN
(
    SELECT event_id, kafka_offset FROM telemetry.counted_events
    WHERE kafka_partition = {{partition:UInt16}}
        AND event_id IN (SELECT event_id FROM telemetry.events_raw WHERE {sent} AND {within_hours("occurred_at")})
) AS counted ON first.event_id = counted.event_id
WHERE (first.kafka_partition, first.kafka_offset) != ({{partition:UInt16}}, counted.kafka_offset)
GROUP BY start"""
    rows = await rows_of(client, sql, {"partition": partition} | hour_bounds(hours_ms))
    return {start_ms: "repeat" if here else "repeat_elsewhere" for start_ms, here in rows}
