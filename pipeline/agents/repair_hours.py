"""Compares closed hours of one partition with what the events say, and writes what is right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.agents.flushes import flush_values
from pipeline.agents.repair_panes import Cause, Difference, batches, differences, refold
from pipeline.agents.rows import pane_row
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.watermark import hour_of, oldest_open
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.repair import event_pages, events_by_hour, first_received_ms, hours_panes, repeated_panes
from pipeline.clickhouse.state import Progress
from pipeline.clickhouse.tables import PANES_RAW
from pipeline.runtime.producer import Message
from schemas.topics import PANES

#: Hours of a partition are refolded together while they have no more events than this: their panes are all in memory.
MOST_EVENTS: Final = 20_000
#: After so many events the rest of the process has a turn.
_TURN_EVENTS: Final = 250

Send = Callable[[Sequence[Message]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing some hours; those `refused` are too old, or have events that this version cannot fold."""

    differences: list[Difference]
    refused: list[int]
    events: int


async def in_batches(client: Client, partition: int, hours_ms: Sequence[int]) -> list[Sequence[int]]:
    """The hours, ascending, in groups that may be compared at once."""
    if len(hours_ms) == 1:
        return [hours_ms]
    events = dict.fromkeys(hours_ms, 0)
    for some_hours in batches(events, MOST_EVENTS):
        events |= await events_by_hour(client, partition, some_hours)
    return batches(events, MOST_EVENTS)


async def compare(client: Client, partition: int, progress: Progress, hours_ms: Sequence[int], received_from_ms: int) -> Compared:
    """Fold the hours again, up to `progress`, and compare their closed panes with those that are stored.

    Args:
        client: of ClickHouse.
        partition: of `events.v1`.
        progress: of the partition; what is beyond it is not counted, what is open at its watermark not compared.
        hours_ms: one of the groups of `in_batches`.
        received_from_ms: an hour with a record that was received before this is refused: events of it may be gone.
    """
    first_ms = await first_received_ms(client, partition, hours_ms)
    refused = [hour_ms for hour_ms in hours_ms if first_ms.get(hour_ms, received_from_ms) < received_from_ms]
    judged = [hour_ms for hour_ms in hours_ms if hour_ms not in refused]
    if not judged:
        return Compared([], refused, 0)
    stored = await hours_panes(client, partition, judged)
    panes, open_from_ms, events, unknown = Panes(), oldest_open(progress.watermark_ms), 0, set[int]()
    async for page in event_pages(client, partition, judged, progress.position):
        for begin in range(0, len(page), _TURN_EVENTS):
            unknown |= refold(panes, page[begin : begin + _TURN_EVENTS], open_from_ms)
            await asyncio.sleep(0)
        events += len(page)
    found = differences(panes, stored, open_from_ms, version_of(progress))
    known = [difference for difference in found if hour_of(difference.right.start_ms) not in unknown]
    return Compared(known, [*refused, *sorted(unknown)], events)


async def causes(client: Client, partition: int, hours_ms: Sequence[int], found: Sequence[Difference]) -> dict[Cause, list[Difference]]:
    """The differences by what brought them about; repeats are looked for only where a pane counts too many."""
    too_many = any(difference.stored is not None and difference.stored.count > difference.right.count for difference in found)
    repeated: Mapping[int, str] = await repeated_panes(client, partition, hours_ms) if too_many else {}
    by_cause: dict[Cause, list[Difference]] = {}
    for difference in found:
        by_cause.setdefault(difference.cause(repeated), []).append(difference)
    return by_cause


async def write(client: Client, send: Send, partition: int, progress: Progress, found: Sequence[Difference]) -> None:
    """Publish what is right, then store it. Again and later is harmless: the version is the offset that was read."""
    if not found:
        return
    snapshots = [difference.right for difference in found]
    values = flush_values(partition, progress.position - 1, None, None, snapshots)
    await send([Message(PANES.name, key=str(partition).encode(), value=value) for value in values])
    await insert(client, PANES_RAW, encode([pane_row(partition, snapshot) for snapshot in snapshots]), len(snapshots))


def version_of(progress: Progress) -> int:
    """2 * (offset read) + 1."""
    return 2 * progress.position - 1
