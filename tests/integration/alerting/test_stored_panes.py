from __future__ import annotations

from typing import Final

import pytest

from alerting.engine.board import StoredPanes
from alerting.gathering import Reach
from alerting.joining import Join
from alerting.stored_panes import stored_panes
from pipeline.aggregation.panes import Snapshot
from pipeline.clickhouse.client import Client
from pipeline.embedded.ports import free_port
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.settings import ClickHouse
from schemas.partitioning import EVENT_PARTITIONS
from tests.integration.alerting.worked import Stored
from tests.integration.clickhouse.conftest import client, migrated, writer

__all__ = ["client", "migrated", "writer"]

T0_MS: Final = 1_795_428_000_000
JOIN_MS: Final = T0_MS + 60_000
FULL: Final = ("ollama", "full")
STORED_TO: Final = dict.fromkeys(range(EVENT_PARTITIONS), 1_000)


def snapshot(start_s: int, count: int, offset: int, metric: str = "menu_generation", labels: tuple[str, ...] = FULL) -> Snapshot:
    start_ms = T0_MS + start_s * 1_000
    return Snapshot(metric, labels, start_ms, count, count * 10**9, {320: count}, offset, start_ms, 2 * offset)


def stored_of(*snapshots: Snapshot, partition: int = 3) -> Stored:
    return Stored({(partition, one.start_ms, one.metric, one.labels): one for one in snapshots}, STORED_TO)


def join(last_offset: int = 500) -> Join:
    """Every partition had come to `last_offset` in the minute before JOIN_MS."""
    joined = Join()
    for partition in range(EVENT_PARTITIONS):
        joined.note(Reach(partition, last_offset, True))
    return joined


async def read(settings: ClickHouse, joined: Join | None = None) -> list[StoredPanes]:
    metrics = ("menu_generation", "payment")
    return [one async for one in stored_panes(settings, joined or join(), metrics, {"menu_generation"}, T0_MS, JOIN_MS)]


async def test_a_series_of_a_partition_is_one_answer(migrated: ClickHouse, client: Client) -> None:
    """The newest snapshot of each pane from the first instant on, of the metrics asked for, histograms where they are asked for."""
    await stored_of(snapshot(10, 2, 20)).write(client)
    panes = [snapshot(-10, 1, 10), snapshot(10, 4, 40), snapshot(20, 5, 50)]
    others = [snapshot(10, 7, 45, "payment", ("failed",)), snapshot(10, 9, 47, "events", ("payment", "web"))]
    await stored_of(*panes, *others).write(client)
    menus, payments = sorted(await read(migrated), key=lambda one: one.metric)
    assert (menus.source_partition, menus.metric, menus.labels) == (3, "menu_generation", {"provider": "ollama", "outcome": "full"})
    columns = zip(menus.starts_ms, menus.versions, menus.counts, menus.sums, menus.buckets, strict=True)
    assert sorted(columns) == [(T0_MS + 10_000, 80, 4, 4 * 10**9, {320: 4}), (T0_MS + 20_000, 100, 5, 5 * 10**9, {320: 5})]
    assert (payments.labels, list(payments.counts), list(payments.buckets)) == ({"outcome": "failed"}, [7], [])


async def test_what_has_changed_since_gives_way_to_every_flush(migrated: ClickHouse, client: Client) -> None:
    """A pane of before the join that is newer than it has a version below all others; one that begins after the join comes from Kafka."""
    await stored_of(snapshot(10, 4, 500), snapshot(20, 5, 501), snapshot(60, 6, 499), snapshot(70, 7, 510)).write(client)
    (menus,) = await read(migrated)
    assert sorted(zip(menus.starts_ms, menus.versions, menus.counts, strict=True)) == [
        (T0_MS + 10_000, 1_000, 4),
        (T0_MS + 20_000, -1, 5),
        (T0_MS + 60_000, 998, 6),
    ]


async def test_a_clickhouse_that_is_behind_gives_nothing(migrated: ClickHouse, client: Client) -> None:
    """Progress must be beyond the last offset that the flushes of the join have said."""
    await stored_of(snapshot(10, 4, 40)).write(client)
    assert await read(migrated, join(1_000))
    with pytest.raises(RetryAfter, match="are not all stored"):
        await read(migrated, join(1_001))


async def test_a_clickhouse_that_is_away_gives_nothing() -> None:
    """It is said as what may be tried again."""
    with pytest.raises(RetryAfter, match="does not answer"):
        await read(ClickHouse(url=f"http://127.0.0.1:{free_port()}"))
