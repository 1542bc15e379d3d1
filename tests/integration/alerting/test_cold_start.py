from __future__ import annotations

import asyncio
import copy
import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from alerting.config.load import load_config
from alerting.engine.engine import Engine, Output
from alerting.engine.judge import bucketed_metrics_of, metrics_of
from alerting.engine.reading import parse_flush_for
from alerting.past import FEW_FLUSHES, Past
from pipeline.clickhouse.client import Client
from pipeline.embedded.ports import free_port
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import ClickHouse
from pipeline.runtime.topic_tail import pages_to_end
from pipeline.runtime.topics_admin import ensure_topics
from schemas.alert import Alert
from schemas.pane import PANE_MS
from schemas.topics import PANES
from tests.integration.alerting.worked import Stored, Workers, busy, failures
from tests.integration.clickhouse.conftest import migrated, writer
from tests.stack_fixtures import embedded_broker

__all__ = ["migrated", "writer"]

pytestmark = pytest.mark.long

CONFIG: Final = load_config()
METRICS, BUCKETED = metrics_of(CONFIG.rules), bucketed_metrics_of(CONFIG.rules)
#: Forty minutes, by tens of seconds; the earlier alerter stopped two minutes before their end.
TENS: Final = 240
STOPPED: Final = TENS - 12
#: One partition says nothing for so long: to an alerter that stopped a while later, nothing says how far it had come.
SILENT: Final = 11
SILENCE: Final = range(80, 110)
STOPPED_AFTER_SILENCE: Final = 144


@dataclass(frozen=True)
class Stopped:
    """An alerter has acted on the log below `position`; the flush before came at `at_ms`."""

    position: int
    at_ms: int
    stored: Stored


@dataclass(frozen=True)
class World:
    """A log, moments at which an alerter stopped, and all rows there are of it in the end."""

    broker: str
    clickhouse: ClickHouse
    stopped: dict[int, Stopped]
    stored: Stored


@pytest.fixture(scope="module")
def world(migrated: ClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with embedded_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield asyncio.run(_made(broker, migrated))


async def _made(broker: str, clickhouse: ClickHouse) -> World:
    """Menus that hardly ever fail. Two panes of 20 minutes ago are repaired: one in the minutes that are judged again, and after all that
    was acted on one that had 400 failures."""
    await ensure_topics(broker)
    producer, chance, stopped = AIOKafkaProducer(bootstrap_servers=broker, linger_ms=50), random.Random(3), {}
    await producer.start()
    workers, begin_ms = Workers(producer), SystemClock().now_ms() // 60_000 * 60_000 - TENS * PANE_MS
    for ten in range(1, TENS + 1):
        end_ms = begin_ms + ten * PANE_MS
        busy(workers, end_ms, chance)
        for repaired_at, partition, count in ((STOPPED - 18, 3, 2), (STOPPED + 6, 5, 400)):
            if ten == repaired_at:
                of = workers.partitions[partition]
                await workers.repair(of, failures(of, end_ms - 1_200_000, count), end_ms)
        for of in workers.partitions:
            if of.number != SILENT or ten not in SILENCE:
                await workers.flush(of, end_ms + of.number * 500)
        if ten in (STOPPED, STOPPED_AFTER_SILENCE):
            stopped[ten] = Stopped(workers.written, end_ms + workers.partitions[-1].number * 500, workers.stored())
    await producer.stop()
    return World(broker, clickhouse, stopped, workers.stored())


@pytest.fixture
async def client(migrated: ClickHouse) -> AsyncIterator[Client]:
    client = Client(migrated)
    yield client
    await client.close()


async def _started(
    world: World, clickhouse: ClickHouse, *, stopped_at: int = STOPPED, few_flushes: int = 100
) -> tuple[Engine, tuple[str, str | None]]:
    """An engine that was shown the past; where the older part of it came from, and why not from ClickHouse, as the log says."""
    engine, stopped = Engine(CONFIG.rules, CONFIG.policy, CONFIG.routing), world.stopped[stopped_at]
    past = Past(world.broker, clickhouse, CONFIG.rules, SystemClock(), few_flushes)
    with capture_logs() as lines:
        await past.show(engine, deque(), stopped.position, stopped.at_ms)
    (older,) = (line["read_from"] for line in lines if line["event"] == "older flushes are read")
    return engine, (older, next((line["why"] for line in lines if "why" in line), None))


@pytest.fixture(scope="module")
def from_kafka(world: World) -> Engine:
    """One that has read nothing else, since there is no ClickHouse."""
    engine, (older, why) = asyncio.run(_started(world, ClickHouse(url=f"http://127.0.0.1:{free_port()}")))
    assert older == "Kafka"
    assert "does not answer" in str(why)
    return engine


def _known(engine: Engine, at_ms: int) -> dict[Any, Any]:
    """All that the board can be asked: numbers of all windows that end in the last quarter of an hour, and where the partitions are."""
    board, now = engine._judge.board, at_ms // PANE_MS
    known: dict[Any, Any] = {"watermark": board.watermark_ms, "offsets": board.last_offsets, "stalled": board.stalled()}
    known |= {partition: (board.effective_watermark_ms(partition), board.flushed_ms(partition)) for partition in board.partitions}
    for key, measure in board.measures.items():
        for to in range(now - 90, now + 1, 5):
            for panes in (1, 6, 90, 360):
                known[key, to, panes] = {
                    series: (measure.tally(series, to - panes, to), tuple(board.events_by_partition(measure, series, to - panes, to)))
                    for series in measure.rows
                }
                if measure.is_quantile:
                    known[key, to, panes, "buckets"] = {series: dict(measure.buckets(series, to - panes, to)) for series in measure.rows}
    return known


async def _goes_on(world: World, engine: Engine) -> list[Output]:
    """What it says of all that came after the earlier alerter had stopped."""
    said: list[Output] = []
    async with aclosing(pages_to_end(world.broker, PANES.name, from_offset=world.stopped[STOPPED].position)) as pages:
        async for page in pages:
            for record in page.records:
                flush = parse_flush_for(record.value or b"", METRICS, BUCKETED)
                said += engine.on_flush(flush, record.timestamp, record.timestamp)
    return said


def _fired(said: list[Output]) -> set[tuple[str, str]]:
    return {(one.rule, one.state) for one in said if isinstance(one, Alert)}


async def test_a_past_from_clickhouse_is_judged_as_the_same_past_from_kafka(world: World, from_kafka: Engine, client: Client) -> None:
    """Every number of every window, and every word about what comes afterwards: a repair of 20 minutes ago fires the same alert."""
    stopped = world.stopped[STOPPED]
    await stopped.stored.write(client)
    engine, read_from = await _started(world, world.clickhouse)
    assert read_from == ("ClickHouse", None)
    assert _known(engine, stopped.at_ms) == _known(from_kafka, stopped.at_ms)
    said = await _goes_on(world, engine)
    assert said == await _goes_on(world, copy.deepcopy(from_kafka))
    assert ("Menu Generation Slow Burn", "firing") in _fired(said)


async def test_rows_of_after_the_start_take_nothing_from_what_is_still_to_be_judged(
    world: World, from_kafka: Engine, client: Client
) -> None:
    """A worker has gone on while no alerter ran: panes that changed later are judged when their flushes come, and end up the same."""
    await world.stored.write(client)
    engine, read_from = await _started(world, world.clickhouse)
    assert read_from == ("ClickHouse", None)
    said, other = await _goes_on(world, engine), copy.deepcopy(from_kafka)
    assert _fired(said) >= {("Menu Generation Slow Burn", "firing")}
    assert _fired(said) == _fired(await _goes_on(world, other))
    end_ms = world.stopped[STOPPED].at_ms + 120_000
    assert _known(engine, end_ms) == _known(other, end_ms)


async def test_a_clickhouse_that_lacks_rows_of_one_partition_is_not_read(world: World, from_kafka: Engine, client: Client) -> None:
    """The first flushes that are read from Kafka are further than its progress: all that came before is read from there, too."""
    stopped = world.stopped[STOPPED]
    await stopped.stored.without(7, stopped.stored.last_offsets[7] // 2).write(client)
    engine, read_from = await _started(world, world.clickhouse)
    assert read_from == ("Kafka", "rows of partitions [7] are not all stored")
    assert _known(engine, stopped.at_ms) == _known(from_kafka, stopped.at_ms)


async def test_a_partition_that_did_not_flush_is_read_from_kafka(world: World, client: Client) -> None:
    """Though all rows are there: only Kafka knows when it flushed last, which the hold on a stalled pipeline depends on."""
    await world.stored.write(client)
    _, read_from = await _started(world, world.clickhouse, stopped_at=STOPPED_AFTER_SILENCE)
    assert read_from == ("Kafka", f"partitions [{SILENT}] did not flush")


async def test_a_few_flushes_are_read_from_kafka(world: World, client: Client) -> None:
    """A quiet system starts without ClickHouse."""
    await world.stored.write(client)
    _, read_from = await _started(world, world.clickhouse, few_flushes=FEW_FLUSHES)
    assert read_from == ("Kafka", None)
