"""The panes of the past as ClickHouse has them: minutes of `panes.v1` in one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import Any, Final

import orjson

from alerting.engine.board import StoredPanes
from alerting.joining import Join
from pipeline.clickhouse.client import Client
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.settings import ClickHouse

#: So long ClickHouse has to say how far it is and what it has; then everything is read from Kafka.
LONGEST_S: Final = 10.0
#: Series after which the rest of the process has a turn.
_TURN: Final = 20

_POSITIONS: Final = "SELECT kafka_partition, position FROM telemetry.partition_progress FINAL"
# A pane that goes on after the join comes with a later flush, in full, wherever it starts; what is kept of it until then is below.
_PANES: Final = """
SELECT source_partition, metric, labels,
    groupArray(toUnixTimestamp64Milli(start)),
    groupArray(if(version > {newest:Array(Int64)}[source_partition + 1], -1, toInt64(version))),
    groupArray(count), groupArray(sum), groupArrayIf(buckets, metric IN {bucketed:Array(String)})
FROM telemetry.panes_raw FINAL
WHERE metric IN {metrics:Array(String)} AND start >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND (start < fromUnixTimestamp64Milli({join_ms:Int64}, 'UTC') OR version <= {newest:Array(Int64)}[source_partition + 1])
GROUP BY source_partition, metric, labels"""


async def stored_panes(
    settings: ClickHouse, join: Join, metrics: Collection[str], bucketed: Collection[str], from_ms: int, join_ms: int
) -> AsyncGenerator[StoredPanes]:
    """Panes that start at `from_ms` or later, as they were where `join` is, at `join_ms`; of `bucketed` metrics with their buckets.

    A pane that starts before `join_ms` and has changed since is as it has become, under a version that whatever comes from Kafka replaces.

    Raises RetryAfter, before the first one, when ClickHouse does not answer in time or lacks some; Stop when it refuses to answer.
    """
    client = Client(settings, read_timeout_s=int(LONGEST_S))
    try:
        async with asyncio.timeout(LONGEST_S):
            positions = _rows(await client.read(_POSITIONS, "JSONCompactEachRow"))
            if (why_not := join.why_not(dict(positions))) is not None:
                raise RetryAfter(why_not)
            parameters = {
                "metrics": sorted(metrics),
                "bucketed": sorted(bucketed),
                "from_ms": from_ms,
                "join_ms": join_ms,
                "newest": join.newest_versions,
            }
            answer = await client.read(_PANES, "JSONCompactEachRow", parameters)
    except TimeoutError as error:
        raise RetryAfter(f"ClickHouse did not answer within {LONGEST_S:.0f} s") from error
    finally:
        await client.close()
    for number, line in enumerate(answer.splitlines()):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        partition, metric, labels, starts_ms, versions, counts, sums, buckets = orjson.loads(line)
        by_index = [{int(index): n for index, n in one.items()} for one in buckets]
        yield StoredPanes(partition, metric, labels, starts_ms, versions, counts, sums, by_index)


def _rows(answer: bytes) -> list[Any]:
    return [orjson.loads(line) for line in answer.splitlines()]
