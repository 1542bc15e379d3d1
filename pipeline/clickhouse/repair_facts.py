"""First exposures as the stored events say they are, and how those that are stored differ.

A stored one is wrong when there is an earlier exposure, or when its own event is not among the events (it was a repeat that had counted,
or has been removed). An hour of which events may be gone proves nothing: facts outlive events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str

from pipeline.aggregation.exposures import Exposure, ExposureKey
from pipeline.aggregation.watermark import HOUR_MS
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.repair import STATES_FACTS, in_period, occurred_in_period
from pipeline.clickhouse.state import Progress, positions, rows_of
from pipeline.clickhouse.tables import FIRST_EXPOSURES_RAW

#: Differences found by one query, and named in the statements that repair them.
FACTS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class FactDifference:
    """Of (subject, flag): what is stored, None when nothing is, and the earliest exposure there is in the period, None without any."""

    key: ExposureKey
    stored: Exposure | None
    right: Exposure | None


def _exposures(condition: str) -> str:
    """Exposures of `events` that meet a condition, each with the order in which they are the first."""
    return f"""
SELECT
    if(user_id != '', user_id, session_id) AS subject, JSONExtractString(properties, 'flag') AS flag,
    JSONExtractString(properties, 'variant') AS variant, occurred_at, event_id, kafka_partition, kafka_offset,
    (occurred_at, toUInt128(event_id)) AS place
FROM telemetry.events_raw FINAL
WHERE event_type = 'feature_exposure' AND subject != '' AND {STATES_FACTS} AND {condition}"""


_FIRST: Final = "argMin((toUnixTimestamp64Milli(occurred_at), toString(event_id), variant), place)"


async def differing_facts(
    client: Client, from_ms: int, to_ms: int, progress: Mapping[int, Progress], received_from_ms: int, after: ExposureKey
) -> list[FactDifference]:
    """Up to `FACTS_AT_ONCE` first exposures that are not what the events of [from_ms, to_ms) say, by ascending key.

    Args:
        client: of ClickHouse.
        from_ms: a full hour, in ms since 1970.
        to_ms: likewise.
        progress: by partition; every event below has left its fact.
        received_from_ms: no fact is called wrong for want of an event of an hour with a record received before this.
        after: only keys beyond this one.
    """
    exposures = _exposures(occurred_in_period())
    sql = f"""
WITH exposures AS ({exposures})
SELECT subject, flag, has_stored, stored, has_right, first
FROM
(
    SELECT subject, flag, {_FIRST} AS first, min(place) AS right_place, 1 AS has_right
    FROM exposures
    WHERE kafka_offset < {{below:Array(UInt64)}}[kafka_partition + 1]
    GROUP BY subject, flag
) AS events
FULL OUTER JOIN
(
    SELECT
        subject, flag, (toUnixTimestamp64Milli(first_at), toString(event_id), toString(variant)) AS stored,
        (first_at, toUInt128(event_id)) AS stored_place, 1 AS has_stored,
        {in_period("first_at")} AND intDiv(toUnixTimestamp64Milli(first_at), {HOUR_MS}) IN ({_complete_hours()})
            AND (subject, flag, event_id, first_at, variant) NOT IN (SELECT subject, flag, event_id, occurred_at, variant FROM exposures)
            AS has_no_event
    FROM telemetry.first_exposures_raw FINAL
    WHERE ({in_period("first_at")}) OR (subject, flag) IN (SELECT subject, flag FROM exposures)
) AS facts USING (subject, flag)
WHERE (has_no_event OR (has_right AND (NOT has_stored OR stored_place > right_place)))
    AND (subject, flag) > ({{subject:String}}, {{flag:String}})
ORDER BY subject, flag
LIMIT {FACTS_AT_ONCE}"""
    bounds: dict[str, Any] = {"from_ms": from_ms, "to_ms": to_ms, "received_from_ms": received_from_ms, "below": positions(progress)}
    bounds |= {"subject": after[0], "flag": after[1]}
    return [
        FactDifference((subject, flag), Exposure(*stored) if has_stored else None, Exposure(*first) if has_right else None)
        for subject, flag, has_stored, stored, has_right, first in await rows_of(client, sql, bounds)
    ]


async def repair_facts(client: Client, found: Sequence[FactDifference]) -> None:
    """Remove what has no event, and put down the earliest exposure of all there are for the same subject and flag."""
    wrong = [d for d in found if d.stored is not None and (d.right is None or d.stored < d.right)]
    if wrong:
        facts = ", ".join(
            f"({format_str(flag)}, {format_str(subject)}, {stored.first_at_ms}, {format_str(stored.event_id)})"
            for (subject, flag), stored in ((d.key, d.stored) for d in wrong)
            if stored is not None
        )
        place = "(flag, subject, toUnixTimestamp64Milli(first_at), toString(event_id))"
        await client.command(f"DELETE FROM telemetry.first_exposures_raw WHERE {place} IN ({facts})")
    firsts = {d.key: d.right for d in found if d.right is not None} | await _first_of(client, [d.key for d in wrong])
    rows = [(subject, flag, first.first_at_ms / 1000, first.event_id, first.variant) for (subject, flag), first in firsts.items()]
    await insert(client, FIRST_EXPOSURES_RAW, encode(rows), len(rows))


async def _first_of(client: Client, keys: Sequence[ExposureKey]) -> dict[ExposureKey, Exposure]:
    if not keys:
        return {}
    named = ", ".join(f"({format_str(subject)}, {format_str(flag)})" for subject, flag in keys)
    sql = f"SELECT subject, flag, {_FIRST} FROM ({_exposures(f'(subject, flag) IN ({named})')}) GROUP BY subject, flag"
    return {(subject, flag): Exposure(*first) for subject, flag, first in await rows_of(client, sql, {})}


def _complete_hours() -> str:
    hour = f"intDiv(toUnixTimestamp64Milli({{}}), {HOUR_MS}) AS hour"
    return f"""
    SELECT hour FROM
    (
        SELECT {hour.format("occurred_at")}, min(received_at) AS first_at FROM telemetry.events_raw
        WHERE event_type = 'feature_exposure' AND {in_period("occurred_at")} GROUP BY hour
        UNION ALL
        SELECT {hour.format("start")}, min(first_received_at) AS first_at FROM telemetry.panes_raw
        WHERE metric = 'feature_exposure' AND {in_period("start")} GROUP BY hour
    )
    GROUP BY hour HAVING min(first_at) >= fromUnixTimestamp64Milli({{received_from_ms:Int64}}, 'UTC')"""
