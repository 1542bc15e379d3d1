"""What the oracle reads from ClickHouse, over plain HTTP, in its own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import aiohttp
import orjson

from tests.chaos.expected import WINDOWS_S, ErrorRate, Histogram, Latency, PaneKey, WindowKey
from tests.chaos.oracle_world import DeadLetterRow, EventRow

Row = list[Any]
Read = TypeVar("Read")

_PARAMETERS: Final = {"database": "telemetry", "default_format": "JSONCompactEachRow", "output_format_json_quote_64bit_integers": "0"}
_MS: Final = "toUnixTimestamp64Milli"
_WINDOWS: Final = ", ".join(map(str, WINDOWS_S))
_ERROR_COLUMNS: Final = "total, errors, error_ratio"
_LATENCY_COLUMNS: Final = "count, mean_ms, p50_ms, p95_ms, p99_ms"


class ClickHouse:
    """Asks one server. Raises aiohttp.ClientError or TimeoutError while it is away, RuntimeError for what it refuses."""

    def __init__(self, session: aiohttp.ClientSession, url: str, user: str, password: str) -> None:
        self._session, self._url = session, url
        self._headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}

    async def rows(self, sql: str) -> list[Row]:
        async with self._session.post(self._url, params=_PARAMETERS, headers=self._headers, data=sql.encode()) as answer:
            text = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"ClickHouse refused {sql[:80]}…: {text[:300]!r}")
        return [orjson.loads(line) for line in text.splitlines()]

    async def number(self, sql: str) -> int:
        """The only value of a query."""
        ((value,),) = await self.rows(sql)
        return int(value)

    async def stale_hours(self) -> int:
        return await self.number(
            "SELECT count() FROM (SELECT kafka_partition, hour FROM stale_hours GROUP BY kafka_partition, hour "
            "HAVING max(marked_offset) > max(cleared_offset))"
        )

    async def positions(self) -> dict[int, int]:
        """Partition → what its progress row says."""
        return dict(await self._read("SELECT kafka_partition, position FROM partition_progress FINAL", lambda row: (row[0], row[1])))

    async def events(self) -> list[EventRow]:
        return await self._read(
            f"SELECT toString(event_id), event_type, {_MS}(occurred_at), {_MS}(received_at), service, user_id, session_id, properties, "
            "kafka_partition, kafka_offset, time_clamped FROM events",
            _event,
        )

    async def stored(self) -> list[tuple[int, int, str]]:
        return await self._read(
            "SELECT DISTINCT kafka_partition, kafka_offset, toString(event_id) FROM events_raw", lambda row: (row[0], row[1], row[2])
        )

    async def dead_letters(self, topic: str) -> list[DeadLetterRow]:
        return await self._read(
            f"SELECT kafka_partition, kafka_offset, error_code, reason, event_id FROM dead_letters WHERE kafka_topic = '{topic}'",
            lambda row: DeadLetterRow((row[0], row[1]), *row[2:]),
        )

    async def pane_rows(self) -> list[tuple[PaneKey, int, Histogram]]:
        return await self._read(f"SELECT metric, labels, {_MS}(start), source_partition, count, sum, buckets FROM panes", _pane)

    async def error_rates(self, view: str) -> list[tuple[WindowKey, ErrorRate]]:
        def rate(row: Row) -> tuple[WindowKey, ErrorRate]:
            total, errors, ratio = row[4:]
            assert ratio == errors / total, f"{view} says {ratio} for {errors} of {total}"
            return _window(row), ErrorRate(total, errors)

        return await self._read(_windows(view, _ERROR_COLUMNS), rate)

    async def latencies(self, view: str) -> list[tuple[WindowKey, Latency]]:
        return await self._read(_windows(view, _LATENCY_COLUMNS), lambda row: (_window(row), Latency(*row[4:])))

    async def first_exposures(self) -> list[tuple[tuple[str, str], tuple[str, int]]]:
        sql = f"SELECT subject, flag, variant, {_MS}(first_at) FROM first_exposures"
        return await self._read(sql, lambda row: ((row[0], row[1]), (row[2], row[3])))

    async def user_days(self) -> list[tuple[tuple[str, int], bool]]:
        sql = "SELECT user_id, toUnixTimestamp(since) FROM user_days_raw FINAL"
        return await self._read(sql, lambda row: ((row[0], row[1]), True))

    async def accepted_and_stored(self) -> list[tuple[str, int, int | None, int | None]]:
        """(gateway, minute since 1970, accepted, missing)."""
        sql = "SELECT source, intDiv(toUnixTimestamp(minute), 60), accepted, missing FROM accepted_and_stored"
        return await self._read(sql, lambda row: (row[0], row[1], row[2], row[3]))

    async def alerts(self) -> list[dict[str, Any]]:
        names = ("incident_key", "rule", "state", "transition_id", "since")
        return await self._read(f"SELECT {', '.join(names)} FROM alerts ORDER BY at", lambda row: dict(zip(names, row, strict=True)))

    async def _read(self, sql: str, read: Callable[[Row], Read]) -> list[Read]:
        return [read(row) for row in await self.rows(sql)]


def _windows(view: str, columns: str) -> str:
    labels = "map()" if view.endswith("_total") else "labels"
    return f"SELECT {_MS}(window_start), window_s, metric, {labels} AS by, {columns} FROM {view} WHERE window_s IN ({_WINDOWS})"


def _window(row: Row) -> WindowKey:
    return row[0], row[1], row[2], _labels(row[3])


def _event(row: Row) -> EventRow:
    event_id, event_type, occurred_ms, received_ms, service, user_id, session_id, properties, partition, offset, clamped = row
    who = (service, user_id, session_id)
    return EventRow(event_id, event_type, occurred_ms, received_ms, *who, properties, (partition, offset), bool(clamped))


def _pane(row: Row) -> tuple[PaneKey, int, Histogram]:
    metric, labels, start_ms, source, count, sum_millionths, buckets = row
    histogram = Histogram(count, sum_millionths)
    histogram.buckets.update({int(bucket): number for bucket, number in buckets.items()})
    return (metric, _labels(labels), start_ms), source, histogram


def _labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
