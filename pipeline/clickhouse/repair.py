"""What a repair of an hour reads: the events of one partition as they count, and how old the hour is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import load_hour_panes, rows_of

__all__ = ["StoredEvent", "first_received_ms", "hour_pages", "load_hour_panes"]

#: So many events are in memory at a time.
_PAGE: Final = 50_000

_WITHIN_HOUR: Final = """kafka_partition = {partition:UInt16}
    AND occurred_at >= fromUnixTimestamp64Milli({hour_ms:Int64}, 'UTC')
    AND occurred_at < fromUnixTimestamp64Milli({hour_ms:Int64} + 3600000, 'UTC')"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What the fold needs of an event of `events_raw`; times in ms since 1970, properties JSON."""

    offset: int
    event_type: str
    occurred_ms: int
    received_ms: int
    service: str
    properties: bytes

    def event(self) -> dict[str, Any]:
        """The parts of the event that `catalogue.feeds` reads."""
        return {"event_type": self.event_type, "source": {"service": self.service}, "properties": orjson.loads(self.properties)}


async def hour_pages(client: Client, partition: int, hour_ms: int, below_offset: int) -> AsyncIterator[list[StoredEvent]]:
    """The first copies of the partition's events that occurred in the hour, by ascending offset below `below_offset`, page by page.

    A copy whose first one is on another partition is not among them: it counts there.
    """
    # The inner query finds, by the index on occurred_at, the few sent hours to look in: only those are a condition on the primary key,
    # and with FINAL a condition on anything else reads most of the table (40 times slower on a million events).
    sql = f"""
SELECT kafka_offset, event_type, toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(received_at), service, properties
FROM telemetry.events_raw FINAL
WHERE toStartOfHour(sent_at) IN (SELECT toStartOfHour(sent_at) FROM telemetry.events_raw WHERE {_WITHIN_HOUR})
    AND {_WITHIN_HOUR} AND kafka_offset >= {{from:UInt64}} AND kafka_offset < {{below:UInt64}}
ORDER BY kafka_offset
LIMIT {_PAGE}"""
    bounds = {"partition": partition, "hour_ms": hour_ms, "from": 0, "below": max(below_offset, 0)}
    while rows := await rows_of(client, sql, bounds):
        yield [
            StoredEvent(offset, event_type, occurred_ms, received_ms, service, properties.encode())
            for offset, event_type, occurred_ms, received_ms, service, properties in rows
        ]
        if len(rows) < _PAGE:
            return
        bounds["from"] = rows[-1][0] + 1


async def first_received_ms(client: Client, partition: int, hour_ms: int) -> int | None:
    """When the first record of the partition's hour was received, None when nothing is known of the hour.

    Panes outlive events, so they are asked too: events that are gone must not make an hour look young.
    """
    sql = f"""
SELECT min(first_ms), count()
FROM
(
    SELECT toUnixTimestamp64Milli(min(received_at)) AS first_ms, count() AS n FROM telemetry.events_raw WHERE {_WITHIN_HOUR}
    UNION ALL
    SELECT toUnixTimestamp64Milli(min(first_received_at)) AS first_ms, count() AS n
    FROM telemetry.panes_raw
    WHERE source_partition = {{partition:UInt16}}
        AND start >= fromUnixTimestamp64Milli({{hour_ms:Int64}}, 'UTC')
        AND start < fromUnixTimestamp64Milli({{hour_ms:Int64}} + 3600000, 'UTC')
)
WHERE n > 0"""
    for first_ms, found in await rows_of(client, sql, {"partition": partition, "hour_ms": hour_ms}):
        return first_ms if found else None
    return None
