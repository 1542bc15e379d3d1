"""The demo's SQL on the real engine, against the fold of the same events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.agents.flushes import flush_values
from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.panes import Panes
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import PARTITION_PROGRESS, STALE_HOURS
from pipeline.demo.board import Board
from pipeline.demo.comparison import differing
from pipeline.demo.reckoning import compare
from pipeline.demo.warehouse import SOURCES, Warehouse
from schemas.event import EVENT_TYPES, decode
from schemas.metrics import METRICS
from schemas.pane import PANE_MS, parse_flush
from tests.integration.clickhouse.rows import DAY_MS, event_row, write, write_events

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
PARTITION = 3


def example_events() -> Iterator[dict[str, Any]]:
    """Every valid example of every event type, 40 times over two minutes, with numbers that differ."""
    for event_type in EVENT_TYPES:
        for path in sorted((EXAMPLES / event_type / "valid").glob("*.json")):
            for number in range(40):
                event: dict[str, Any] = dict(decode([path.read_bytes()]).events[0] or {})
                properties = dict(event["properties"])
                for name in {"generation_time_ms", "duration_ms", "latency_ms", "value"} & properties.keys():
                    properties[name] = number * 37.123456 % 900
                for name in {"cpu_ratio", "memory_ratio", "disk_ratio", "accuracy_score"} & properties.keys():
                    properties[name] = number * 37 % 900 / 1000
                yield event | {"event_id": str(uuid.uuid4()), "properties": properties, "at_ms": DAY_MS + number * 3_000}


def folded(events: list[dict[str, Any]], count: int | None = None) -> Board:
    """What panes.v1 would say of the first `count` events."""
    panes, board = Panes(), Board()
    for offset, event in enumerate(events[:count]):
        for metric, labels, value in feeds(event):
            panes.fold(event["at_ms"] // PANE_MS * PANE_MS, metric, labels, value, offset, event["at_ms"])
    for record in flush_values(PARTITION, len(events) - 1, DAY_MS, None, panes.changed()):
        board.fold(parse_flush(record))
    return board


async def store(client: Client, events: list[dict[str, Any]]) -> None:
    rows = []
    for offset, event in enumerate(events):
        about = {"event_type": event["event_type"], "occurred_ms": event["at_ms"], "received_ms": int(time.time() * 1000)}
        row = event_row(uuid.UUID(event["event_id"]), offset=offset, partition=PARTITION, properties=event["properties"], **about)
        row[4] = event["source"]["service"]
        rows.append(row)
    await write_events(client, rows)


def test_every_metric_has_its_sql() -> None:
    """A metric that cannot be compared would be left out in silence."""
    assert SOURCES.keys() == METRICS.keys()
    assert all(tuple(SOURCES[name].labels) == metric.labels for name, metric in METRICS.items())
    assert all(bool(SOURCES[name].value) == bool(metric.unit) for name, metric in METRICS.items())


async def test_sql_from_events_agrees_with_the_fold_of_the_same_events(client: Client) -> None:
    """For every series of every event type: events, sums to the millionth, quantiles within the bound, pane by pane."""
    events = list(example_events())
    await store(client, events)
    numbers = await compare(folded(events), Warehouse(client), DAY_MS, [], {})
    assert not differing(numbers)
    assert {metric for metric in METRICS if any(number.name.startswith(f"{metric} ") for number in numbers)} == METRICS.keys()


async def test_an_event_that_was_not_folded_is_noticed(client: Client) -> None:
    """One event less on panes.v1 than in ClickHouse."""
    events = list(example_events())
    await store(client, events)
    numbers = await compare(folded(events, len(events) - 1), Warehouse(client), DAY_MS, [], {})
    assert any(event_type in number.name for event_type in EVENT_TYPES for number in differing(numbers))


async def test_everything_is_there_when_progress_says_so_and_no_hour_is_stale(client: Client) -> None:
    """The progress of each partition has reached the end, and every repair that was asked for is done."""
    warehouse = Warehouse(client)
    assert await warehouse.has_everything({0: 0})
    assert not await warehouse.has_everything({0: 5})
    await write(client, PARTITION_PROGRESS, [[0, 5, DAY_MS / 1000, DAY_MS / 1000]])
    assert await warehouse.has_everything({0: 5, 1: 0})
    await write(client, STALE_HOURS, [[0, DAY_MS // 1000, 4, -1]])
    assert not await warehouse.has_everything({0: 5})
    await write(client, STALE_HOURS, [[0, DAY_MS // 1000, -1, 4]])
    assert await warehouse.has_everything({0: 5})
