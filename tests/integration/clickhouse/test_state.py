"""What a worker loads of a partition, and what a repair reads of an hour."""

from __future__ import annotations

import time
from uuid import UUID

import numpy as np
import orjson
import pytest

from pipeline.aggregation.panes import Snapshot
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.repair import StoredEvent, event_pages, first_received_ms, hours_panes
from pipeline.clickhouse.state import Progress, load_counted, load_panes, load_progress
from pipeline.clickhouse.tables import COUNTED_EVENTS, PARTITION_PROGRESS
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, pane_row, write, write_events, write_panes


async def load_hour(client: Client, partition: int, hour_ms: int, below_offset: int) -> list[StoredEvent]:
    """Every page of an hour, end to end."""
    return [event async for page in event_pages(client, partition, [hour_ms], below_offset) for event in page]


async def test_progress_is_the_highest_position(client: Client) -> None:
    """The furthest row of the partition counts; a partition nothing is known of has none."""
    assert await load_progress(client, 3) is None
    await write(client, PARTITION_PROGRESS, [[3, 2**40, DAY_MS / 1000 + 0.123, 0], [4, 2**41, 0, 0]])
    await write(client, PARTITION_PROGRESS, [[3, 7, DAY_MS / 1000 + 9, 9]])
    assert await load_progress(client, 3) == Progress(2**40, DAY_MS + 123)
    assert await load_progress(client, 4) == Progress(2**41, 0)


async def test_panes_are_loaded_as_the_fold_left_them(client: Client) -> None:
    """Newest versions of one partition from an instant on, labels in the order of the metric, nothing of unknown metrics."""
    labels = {"outcome": "failed", "provider": "it's"}
    await write_panes(
        client,
        [
            pane_row(
                "menu_generation", labels, DAY_MS, count=2, total=-(2**62), buckets={-32768: 1, 5: 1}, last_offset=2**53 + 1, version=9
            ),
            pane_row("menu_generation", labels, DAY_MS, count=1, version=8),
            pane_row("menu_generation", labels, DAY_MS - 10_000, count=3),
            pane_row("menu_generation", labels, DAY_MS, count=4, partition=1),
            pane_row("a_metric_of_another_version", {"x": "y"}, DAY_MS, count=5),
        ],
    )
    expected = Snapshot("menu_generation", ("it's", "failed"), DAY_MS, 2, -(2**62), {-32768: 1, 5: 1}, 2**53 + 1, DAY_MS + 500, 9)
    assert await load_panes(client, 0, DAY_MS) == [expected]


async def test_panes_of_an_hour_are_those_that_start_in_it(client: Client) -> None:
    """From the first to the last pane of the hour, neighbours left out."""
    starts = [DAY_MS - 10_000, DAY_MS, DAY_MS + HOUR_MS - 10_000, DAY_MS + HOUR_MS]
    await write_panes(client, [pane_row("recipe_interaction", {"action": "view"}, start, count=1) for start in starts])
    assert sorted(snapshot.start_ms for snapshot in await hours_panes(client, 0, [DAY_MS])) == starts[1:3]


async def test_counted_records_come_with_the_bytes_of_their_ids(client: Client) -> None:
    """Ids are those of `uuid.UUID.bytes`, by offset, of one partition and range; the bounds are inclusive and exclusive."""
    ids = [UUID("0198c0de-1234-7abc-8def-0123456789ab"), UUID(int=2**128 - 2), UUID(int=1)]
    rows = [[3, 10 + i, str(event_id), 2**64 - 1 - i, DAY_MS / 1000] for i, event_id in enumerate(ids)]
    await write(client, COUNTED_EVENTS, [*reversed(rows), [4, 11, str(ids[0]), 5, DAY_MS / 1000]])
    counted = await load_counted(client, 3, 10, 13)
    assert [row.tobytes() for row in counted.event_ids] == [event_id.bytes for event_id in ids]
    assert counted.offsets.tolist() == [10, 11, 12]
    assert counted.content_hashes.tolist() == [2**64 - 1, 2**64 - 2, 2**64 - 3]
    assert (await load_counted(client, 3, 11, 12)).offsets.tolist() == [11]


async def test_nothing_counted_is_an_empty_window(client: Client) -> None:
    """A partition without records, and a window that would begin below offset 0, are empty arrays of the right shapes."""
    counted = await load_counted(client, 3, -200_000, 0)
    assert counted.event_ids.shape == (0, 16)
    assert [counted.offsets.dtype, counted.content_hashes.dtype] == [np.dtype(np.int64), np.dtype(np.uint64)]
    assert len(counted.offsets) == len(counted.content_hashes) == 0


async def test_a_full_window_is_loaded_quickly(client: Client) -> None:
    """200,000 records come in well under a second, whatever else the table holds."""
    for partition in (3, 4):
        ids = [str(UUID(int=i << 64 | 0xABC)) for i in range(200_000)]
        rows = [orjson.dumps((partition, i, event_id, i, DAY_MS / 1000)) for i, event_id in enumerate(ids)]
        await insert(client, COUNTED_EVENTS, b",".join(rows), len(rows))
    began = time.perf_counter()
    counted = await load_counted(client, 3, 0, 200_000)
    assert time.perf_counter() - began < 2
    assert np.array_equal(counted.offsets, np.arange(200_000))
    assert counted.event_ids[199_999].tobytes() == UUID(int=199_999 << 64 | 0xABC).bytes


async def test_an_hour_is_read_as_it_counts(client: Client) -> None:
    """First copies of the partition that occurred in the hour below the offset, in offset order, with what the fold needs."""
    properties = {"action": 'é"\\'}
    inside = [
        event_row(UUID(int=2), offset=5, occurred_ms=DAY_MS, received_ms=DAY_MS + 7, properties=properties),
        event_row(UUID(int=1), offset=9, occurred_ms=DAY_MS + HOUR_MS - 1, sent_ms=DAY_MS + 50 * HOUR_MS, event_type="recipe_view"),
    ]
    outside = [
        event_row(UUID(int=3), offset=6, occurred_ms=DAY_MS - 1),
        event_row(UUID(int=4), offset=7, occurred_ms=DAY_MS + HOUR_MS),
        event_row(UUID(int=5), offset=10, occurred_ms=DAY_MS),
        event_row(UUID(int=6), offset=8, occurred_ms=DAY_MS, partition=4),
        event_row(UUID(int=2), offset=4, occurred_ms=DAY_MS, received_ms=DAY_MS + 8),
    ]
    await write_events(client, [*inside, *outside])
    await write_events(client, inside)
    events = await load_hour(client, 3, DAY_MS, below_offset=10)
    assert events == [
        StoredEvent(5, "menu_generated", DAY_MS, DAY_MS + 7, "menu-api", orjson.dumps(properties), []),
        StoredEvent(9, "recipe_view", DAY_MS + HOUR_MS - 1, DAY_MS + HOUR_MS + 999, "menu-api", b"{}", []),
    ]
    whole = {"event_type": "menu_generated", "source": {"service": "menu-api"}, "properties": properties, "bot_reasons": []}
    assert events[0].event() == whole


async def test_a_copy_that_came_first_elsewhere_counts_there(client: Client) -> None:
    """An event whose first copy is on another partition is not part of this one's hour."""
    await write_events(client, [event_row(UUID(int=1), offset=1, partition=4, received_ms=DAY_MS), event_row(UUID(int=1), offset=1)])
    assert await load_hour(client, 3, DAY_MS, below_offset=10) == []
    assert [event.offset for event in await load_hour(client, 4, DAY_MS, below_offset=10)] == [1]


async def test_a_large_hour_comes_in_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the hour is cut into pages, each event is there once, in order."""
    monkeypatch.setattr("pipeline.clickhouse.repair._PAGE", 4)
    await write_events(client, [event_row(UUID(int=i), offset=3 * i) for i in range(8)])
    pages = [[event.offset for event in page] async for page in event_pages(client, 3, [DAY_MS], below_offset=22)]
    assert pages == [[0, 3, 6, 9], [12, 15, 18, 21]]


async def test_an_hour_is_as_old_as_its_first_record(client: Client) -> None:
    """Panes tell how old an hour is when its first events are gone; an unknown hour has no age."""
    assert await first_received_ms(client, 3, [DAY_MS]) == {}
    await write_events(client, [event_row(UUID(int=1), offset=1, received_ms=DAY_MS + 500), event_row(UUID(int=2), offset=2)])
    await write_events(client, [event_row(UUID(int=3), offset=3, received_ms=DAY_MS - 9, partition=4)])
    assert await first_received_ms(client, 3, [DAY_MS]) == {DAY_MS: DAY_MS + 500}
    older = DAY_MS - 85 * 24 * HOUR_MS
    await write_panes(client, [pane_row("recipe_interaction", {"action": "view"}, DAY_MS, count=1, partition=3, received_ms=older)])
    assert await first_received_ms(client, 3, [DAY_MS, DAY_MS + HOUR_MS]) == {DAY_MS: older}
