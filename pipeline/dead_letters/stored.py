"""What ClickHouse knows that decides what a replay would do. Every question is about at most a page of letters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

from clickhouse_connect.driver.binding import format_str

from pipeline.aggregation.exposures import Exposure, ExposureKey
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import rows_of
from pipeline.dead_letters.moves import Series
from pipeline.dead_letters.trial import Identity
from schemas.metrics import METRICS

#: So many texts of up to 200 characters, or ids, are named in one statement: a server reads 256 KiB of it.
_TEXTS_AT_ONCE: Final = 400
_IDS_AT_ONCE: Final = 4_000

T = TypeVar("T")


async def first_copies(client: Client, wanted: Collection[Identity]) -> dict[Identity, int]:
    """Content hashes of those that are stored."""
    if not wanted:
        return {}
    types = _list(_text(event_type) for event_type in {event_type for event_type, _, _ in wanted})
    hours = _list(f"toDateTime({hour_ms // 1000}, 'UTC')" for hour_ms in {hour_ms for _, hour_ms, _ in wanted})
    ids = _list(_text(event_id) for event_id in {event_id for _, _, event_id in wanted})
    sql = f"""
SELECT event_type, toInt64(toUnixTimestamp(toStartOfHour(sent_at))) * 1000, toString(event_id), content_hash
FROM telemetry.events_raw FINAL
WHERE event_type IN {types} AND toStartOfHour(sent_at) IN {hours} AND event_id IN {ids}"""
    return {(event_type, hour_ms, event_id): content for event_type, hour_ms, event_id, content in await rows_of(client, sql, {})}


async def received_ms(client: Client, ids: Collection[str], received_from_ms: int) -> dict[str, int]:
    """When the first copies of events were received that have one of `ids`, in lower case, and came at `received_from_ms` or later.

    It reads that much of a column: no index leads from an id to its event.
    """
    found: dict[str, int] = {}
    for some_ids in _slices(sorted(ids), _IDS_AT_ONCE):
        sql = f"""
SELECT toString(event_id), toUnixTimestamp64Milli(min(received_at)) FROM telemetry.events_raw
WHERE received_at >= fromUnixTimestamp64Milli({received_from_ms}, 'UTC') AND event_id IN {_list(map(_text, some_ids))}
GROUP BY event_id"""
        found |= dict(await rows_of(client, sql, {}))
    return found


async def stored_series(client: Client, wanted: Mapping[int, Collection[Series]]) -> dict[int, list[Series]]:
    """By partition, the series that have events in panes of `wanted`, whatever their labels: which values have taken a name there."""
    panes = {(start_ms, metric) for all_of_one in wanted.values() for start_ms, metric, _ in all_of_one}
    if not panes:
        return {}
    starts = _list(f"fromUnixTimestamp64Milli({start_ms}, 'UTC')" for start_ms in {start_ms for start_ms, _ in panes})
    sql = f"""
SELECT source_partition, toUnixTimestamp64Milli(start), metric, labels FROM telemetry.panes_raw FINAL
WHERE metric IN {_list(map(_text, {metric for _, metric in panes}))} AND start IN {starts}
    AND source_partition IN {_list(map(str, wanted))} AND panes_raw.count > 0"""
    found: dict[int, list[Series]] = {}
    for partition, start_ms, metric, labels in await rows_of(client, sql, {}):
        values = tuple(labels.get(label, "") for label in METRICS[metric].labels)
        found.setdefault(partition, []).append((start_ms, metric, values))
    return found


async def stored_exposures(client: Client, keys: Sequence[ExposureKey]) -> dict[ExposureKey, Exposure]:
    """The first exposures there are of `keys`."""
    found: dict[ExposureKey, Exposure] = {}
    for some_keys in _slices(keys, _TEXTS_AT_ONCE):
        named = _list(f"({_text(flag)}, {_text(subject)})" for subject, flag in some_keys)
        sql = f"""
SELECT subject, flag, toUnixTimestamp64Milli(first_at), toString(event_id), variant FROM telemetry.first_exposures_raw FINAL
WHERE (flag, subject) IN {named}"""
        found |= {(subject, flag): Exposure(*first) for subject, flag, *first in await rows_of(client, sql, {})}
    return found


async def stored_user_days(client: Client, users: Sequence[str]) -> set[tuple[str, int]]:
    """(user_id, start of a UTC day in ms since 1970) of the days on which `users` were active."""
    found: set[tuple[str, int]] = set()
    for some_users in _slices(users, _TEXTS_AT_ONCE):
        sql = f"""
SELECT DISTINCT user_id, toInt64(toUnixTimestamp(toStartOfDay(since, 'UTC'))) * 1000 FROM telemetry.user_days_raw
WHERE user_id IN {_list(map(_text, some_users))}"""
        found |= {(user_id, day_ms) for user_id, day_ms in await rows_of(client, sql, {})}
    return found


def _text(text: str) -> str:
    literal: str = format_str(text)
    return literal


def _list(expressions: Iterable[str]) -> str:
    return f"({', '.join(expressions)})"


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
