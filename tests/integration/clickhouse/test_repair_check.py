"""The aggregate that says which hours to look into, against panes that the fold made of the same events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.aggregation.watermark import pane_start
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair import event_pages, repeated_panes
from pipeline.clickhouse.repair_check import FEEDS, Span, differing_hours, known_hours
from pipeline.clickhouse.tables import COUNTED_EVENTS
from schemas.event import EVENT_TYPES, decode
from schemas.metrics import METRICS
from tests.integration.clickhouse.rows import DAY_MS, HOUR_MS, event_row, pane_row, write, write_events, write_panes

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
DAY = Span(DAY_MS, DAY_MS + 24 * HOUR_MS, 2**40)
RECENT = DAY_MS - HOUR_MS


def panes_of(rows: Iterable[list[object]]) -> list[Snapshot]:
    """What the fold makes of rows of events_raw of one partition."""
    panes = Panes()
    for row in rows:
        event = {"event_type": row[1], "source": {"service": row[4]}, "properties": orjson.loads(str(row[11])), "bot_reasons": row[18]}
        occurred_ms = round(float(str(row[2])) * 1000)
        for metric, labels, value in feeds(event):
            panes.fold(pane_start(occurred_ms), metric, labels, value, int(str(row[13])), occurred_ms)
    return panes.all(10)


async def write_snapshots(client: Client, snapshots: Iterable[Snapshot], partition: int = 3) -> None:
    rows = [
        pane_row(
            s.metric,
            dict(zip(METRICS[s.metric].labels, s.labels, strict=True)),
            s.start_ms,
            count=s.count,
            partition=partition,
            total=s.sum_millionths,
            buckets=s.buckets,
        )
        for s in snapshots
    ]
    await write_panes(client, rows)


def example_rows(bot_reasons: Sequence[str] = (), from_ms: int = DAY_MS, apart_ms: int = 70_000) -> list[list[object]]:
    """An event of every example there is, in offset order."""
    values = [path.read_bytes() for name in sorted(EVENT_TYPES) for path in sorted((EXAMPLES / name / "valid").glob("*.json"))]
    decoded = decode(values)
    assert not decoded.bad
    rows = []
    for i, (event, properties) in enumerate(zip(decoded.events, decoded.properties, strict=True)):
        assert event is not None
        rows.append(
            event_row(
                uuid4(),
                offset=i,
                event_type=event["event_type"],
                occurred_ms=from_ms + i * apart_ms,
                properties=orjson.loads(properties),
                bot_reasons=bot_reasons,
            )
        )
    return rows


def menu_rows(n: int, partition: int = 3, duration_ms: float = 12.345678) -> list[list[object]]:
    properties = {"generation_time_ms": duration_ms, "outcome": "full", "provider": "p"}
    return [
        event_row(uuid4(), offset=i, partition=partition, occurred_ms=DAY_MS + i * 400_000, properties=properties | {"recipe_count": i})
        for i in range(n)
    ]


async def test_every_event_type_is_compared_as_it_is_folded(client: Client) -> None:
    """Panes of every example of every type differ in nothing; without some of them, exactly the hours they are in are named."""
    assert set(FEEDS) == set(EVENT_TYPES)
    from_ms = DAY_MS - 200 * HOUR_MS
    rows = example_rows(from_ms=from_ms, apart_ms=HOUR_MS)
    snapshots, whole = panes_of(rows), {3: Span(from_ms, DAY_MS, 2**40)}
    await write_events(client, rows)
    await write_snapshots(client, snapshots)
    assert await differing_hours(client, whole, from_ms) == []
    resources = {resource: [s for s in snapshots if s.labels[1:] == (resource,)] for resource in ("cpu", "memory", "disk")}
    for gone, some in {
        "metric = 'events'": [s for s in snapshots if s.metric == "events"],
        "metric != 'events'": [s for s in snapshots if s.metric != "events"],
        **{f"labels['resource'] = '{resource}'": panes for resource, panes in resources.items()},
    }.items():
        await client.command(f"DELETE FROM telemetry.panes_raw WHERE {gone}")
        hours = sorted({s.start_ms // HOUR_MS * HOUR_MS for s in some})
        assert hours
        assert await differing_hours(client, whole, from_ms) == [(3, hour_ms) for hour_ms in hours], gone
        await write_snapshots(client, snapshots)
        assert await differing_hours(client, whole, from_ms) == []


async def test_bots_and_broken_events_are_compared_as_they_are_folded(client: Client) -> None:
    """A bot's events of every type differ in nothing from what the fold makes of them, and an event with schema errors is in no pane."""
    rows = example_rows(bot_reasons=["crawler"])
    snapshots = panes_of(rows)
    assert {"events", "api_request", "health_check"} <= {s.metric for s in snapshots}
    assert not {"menu_generation", "web_vital", "recipe_interaction", "payment", "feature_exposure"} & {s.metric for s in snapshots}
    broken = [event_row(uuid4(), offset=900 + i, schema_errors=["properties.outcome: Field required"]) for i in range(3)]
    await write_events(client, [*rows, *broken])
    await write_snapshots(client, snapshots)
    assert await differing_hours(client, {3: DAY}, RECENT) == []
    assert {event.offset async for page in event_pages(client, 3, [DAY_MS], 2**40) for event in page} == set(range(52))


@pytest.mark.parametrize("duration_ms", [0.0, 0.0000005, 0.0000015, 1e-7, 1 / 3, 2.5, 1234.5678905, 1_800_000.1, 3_600_000.0, 128.0])
async def test_sums_are_rounded_as_the_fold_does(client: Client, duration_ms: float) -> None:
    """Halves and long fractions give the same millionths here and there."""
    rows = menu_rows(3, duration_ms=duration_ms)
    await write_events(client, rows)
    await write_snapshots(client, panes_of(rows))
    assert await differing_hours(client, {3: DAY}, RECENT) == []


async def test_one_too_many_does_not_make_up_for_one_too_few(client: Client) -> None:
    """The same number of events and the same sum in the hour, but in another pane or another metric, is a difference."""
    rows = menu_rows(8)
    snapshots = panes_of(rows)
    await write_events(client, rows)
    menus, others = ([s for s in snapshots if (s.metric == "menu_generation") is wanted] for wanted in (True, False))
    moved = [pane_row("menu_generation", {}, menus[1].start_ms, count=1, partition=3, total=menus[1].sum_millionths)]
    await write_snapshots(client, [*menus[1:], *others])
    await write_panes(client, moved)
    assert await differing_hours(client, {3: DAY}, RECENT) == [(3, DAY_MS)]


async def test_only_what_was_asked_is_compared(client: Client) -> None:
    """Spans and offsets of each partition are its own; old hours are left out; a copy that counts elsewhere is not missed here."""
    rows = [row for partition in (3, 4) for row in menu_rows(20, partition)]  # an hour has nine
    copy = event_row(UUID(str(rows[0][0])), offset=99, partition=5, properties=orjson.loads(str(rows[0][11])), received_ms=DAY_MS + HOUR_MS)
    await write_events(client, [*rows, copy])
    await write_snapshots(client, panes_of(row for row in rows if row[12] == 4), partition=4)
    until_ten = Span(DAY_MS, DAY_MS + 2 * HOUR_MS, 2**40)
    assert await differing_hours(client, {3: until_ten, 4: DAY, 5: DAY}, RECENT) == [(3, DAY_MS), (3, DAY_MS + HOUR_MS)]
    assert await differing_hours(client, {3: Span(DAY_MS + HOUR_MS, DAY.to_ms, 18)}, RECENT) == [(3, DAY_MS + HOUR_MS)]
    assert await differing_hours(client, {3: Span(DAY_MS + HOUR_MS, DAY.to_ms, 9)}, RECENT) == []
    assert await differing_hours(client, {3: DAY}, received_from_ms=DAY_MS + HOUR_MS) == [
        (3, DAY_MS + HOUR_MS),
        (3, DAY_MS + 2 * HOUR_MS),
    ]
    assert await known_hours(client, {3: until_ten, 4: DAY}) == {DAY_MS: 18, DAY_MS + HOUR_MS: 18, DAY_MS + 2 * HOUR_MS: 2}


async def test_repeats_are_told_by_where_their_first_copy_is(client: Client) -> None:
    """What counted here though it is first elsewhere: panes by start, told apart by whether it is another partition."""
    here, there, first = (UUID(int=i) for i in (1, 2, 3))
    await write_events(
        client,
        [
            event_row(here, offset=5, occurred_ms=DAY_MS),
            event_row(there, offset=9, partition=4, occurred_ms=DAY_MS + 15_000),
            event_row(first, offset=6, occurred_ms=DAY_MS + 30_000),
        ],
    )
    counted = [(3, 5, here), (3, 300_000, here), (3, 300_001, there), (3, 6, first), (4, 9, there)]
    await write(client, COUNTED_EVENTS, [[partition, offset, str(event_id), 1, DAY_MS / 1000] for partition, offset, event_id in counted])
    assert await repeated_panes(client, 3, [DAY_MS]) == {DAY_MS: "repeat", DAY_MS + 10_000: "repeat_elsewhere"}
    assert await repeated_panes(client, 4, [DAY_MS]) == {}
