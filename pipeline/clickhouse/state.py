"""What a worker needs of a partition before it goes on: how far it had come, its open panes, its repeat window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.aggregation.panes import Snapshot
from pipeline.clickhouse.client import Client
from schemas.metrics import METRICS
from schemas.partitioning import EVENT_PARTITIONS

#: A row of RowBinary: a UUID is two little-endian halves, the first one first.
_COUNTED: Final = np.dtype([("offset", "<u8"), ("event_id", "<u8", (2,)), ("content_hash", "<u8")])


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything below offset `position` has had its effects; `watermark_ms` (since 1970) is what it was then, 0 before any event."""

    position: int
    watermark_ms: int


def positions(progress: Mapping[int, Progress]) -> list[int]:
    """The position of every partition in order, 0 where nothing is known: what `{below:Array(UInt64)}[kafka_partition + 1]` looks up."""
    return [progress[partition].position if partition in progress else 0 for partition in range(EVENT_PARTITIONS)]


@dataclass(frozen=True, slots=True)
class Counted:
    """Records that counted, by ascending offset; one may be there twice.

    event_ids: (n, 16) bytes, each row as `uuid.UUID.bytes`; offsets: (n,) int64; content_hashes: (n,) uint64.
    """

    event_ids: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    content_hashes: NDArray[np.uint64]


async def load_progress(client: Client, partition: int) -> Progress | None:
    """How far the partition had come; None when nothing is known of it."""
    sql = """
SELECT position, toUnixTimestamp64Milli(watermark)
FROM telemetry.partition_progress FINAL
WHERE kafka_partition = {partition:UInt16}"""
    for position, watermark_ms in await rows_of(client, sql, {"partition": partition}):
        return Progress(position, watermark_ms)
    return None


async def load_panes(client: Client, partition: int, from_start_ms: int) -> list[Snapshot]:
    """The newest snapshot of each pane of the partition that starts at or after an instant."""
    condition = "source_partition = {partition:UInt16} AND start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')"
    return await snapshots(client, condition, {"partition": partition, "from_ms": from_start_ms})


async def load_counted(client: Client, partition: int, from_offset: int, below_offset: int) -> Counted:
    """The records of the partition that counted, with offsets in [from_offset, below_offset)."""
    sql = """
SELECT kafka_offset, event_id, content_hash
FROM telemetry.counted_events
WHERE kafka_partition = {partition:UInt16} AND kafka_offset >= {from:UInt64} AND kafka_offset < {below:UInt64}
ORDER BY kafka_offset"""
    bounds = {"partition": partition, "from": max(from_offset, 0), "below": max(below_offset, 0)}
    rows = np.frombuffer(await client.read(sql, "RowBinary", bounds), _COUNTED)
    event_ids = np.ascontiguousarray(rows["event_id"]).astype(">u8").view(np.uint8).reshape(-1, 16)
    return Counted(event_ids, rows["offset"].astype(np.int64), np.ascontiguousarray(rows["content_hash"]))


async def rows_of(client: Client, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
    """The rows of an answer as lists; 64-bit integers stay integers."""
    return orjson.loads(b"[" + b",".join((await client.read(sql, "JSONCompactEachRow", parameters)).splitlines()) + b"]")  # type: ignore[no-any-return]


async def snapshots(client: Client, condition: str, parameters: Mapping[str, Any]) -> list[Snapshot]:
    """The newest snapshot of each pane that a condition on `panes_raw` names."""
    sql = f"""
SELECT metric, labels, toUnixTimestamp64Milli(start), count, sum, buckets, last_offset, toUnixTimestamp64Milli(first_received_at), version
FROM telemetry.panes_raw FINAL
WHERE {condition}"""
    return list(_as_snapshots(await rows_of(client, sql, parameters)))


def _as_snapshots(rows: list[Any]) -> Iterator[Snapshot]:
    for metric, labels, start_ms, count, total, buckets, last_offset, first_received_ms, version in rows:
        if metric not in METRICS:
            continue  # of a metric that this version no longer has: nothing will be folded into it
        values = tuple(labels.get(label, "") for label in METRICS[metric].labels)
        by_index = {int(index): n for index, n in buckets.items()}
        yield Snapshot(metric, values, start_ms, count, total, by_index, last_offset, first_received_ms, version)
