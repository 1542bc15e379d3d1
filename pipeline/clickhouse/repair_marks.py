"""What is known of repairs to come and of those made: how far everything has been read, which hours are stale, which were audited."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import Progress, rows_of

#: Stale hours are repaired so many at a time, oldest mark first.
STALE_AT_ONCE: Final = 2_000


async def load_all_progress(client: Client) -> dict[int, Progress]:
    """How far each partition has come, by partition; those nothing is known of are left out."""
    sql = "SELECT kafka_partition, position, toUnixTimestamp64Milli(watermark) FROM telemetry.partition_progress FINAL"
    return {partition: Progress(position, watermark_ms) for partition, position, watermark_ms in await rows_of(client, sql, {})}


async def load_stale(client: Client, partitions: Collection[int]) -> dict[tuple[int, int], int]:
    """Hours to repair: (partition, start in ms since 1970) → offset of the last record that made the hour stale."""
    sql = f"""
SELECT kafka_partition, toInt64(toUnixTimestamp(hour)) * 1000, max(marked_offset) AS marked
FROM telemetry.stale_hours
WHERE kafka_partition IN {{partitions:Array(UInt16)}}
GROUP BY kafka_partition, hour
HAVING marked > max(cleared_offset)
ORDER BY marked
LIMIT {STALE_AT_ONCE}"""
    rows = await rows_of(client, sql, {"partitions": sorted(partitions)})
    return {(partition, hour_ms): marked for partition, hour_ms, marked in rows}


async def load_audited(client: Client) -> dict[int, int]:
    """By partition: the start, in ms since 1970, of the first hour that was not audited; those nothing is known of are left out."""
    sql = "SELECT kafka_partition, toInt64(toUnixTimestamp(audited_to)) * 1000 FROM telemetry.hour_audits FINAL"
    return dict(await rows_of(client, sql, {}))
