"""How long an alerter that starts, or a standby that takes over, reads before it may page: with ClickHouse, and from Kafka alone.

The log is made: an hour and a half of `panes.v1` as twelve partitions write it at 1,000 events/s, ten flushes a second each, every ten
seconds like the ones before; and the rows that a worker has stored of it.

    COLD_START_MINUTES=90 python -m tests.bench.cold_start
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from pydantic import SecretStr

from alerting.config.load import load_config
from alerting.fence import Fence
from alerting.loading import Loader, said
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import encode, insert
from pipeline.clickhouse.migrations import migrate
from pipeline.clickhouse.tables import PANES_RAW, PARTITION_PROGRESS
from pipeline.embedded.ports import free_port
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import ClickHouse, Settings
from pipeline.runtime.topics_admin import ensure_topics
from schemas import topics
from schemas.alert import parse_alert
from schemas.escalation import parse_escalation
from schemas.metrics import METRICS
from schemas.pane import PANE_MS
from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import isoformat_of
from tests.stack_fixtures import embedded_broker, embedded_clickhouse

EVENTS_PER_S: Final = 1_000
_FLUSHES: Final = 100  # of a partition in ten seconds
_EVENTS: Final = EVENTS_PER_S * PANE_MS // 1000 // EVENT_PARTITIONS  # of a partition in ten seconds
_HEAD: Final = b'{"schema_version":1,"source_partition":%d,"last_offset":%d,"watermark":"%b","caught_up_at":"%b","panes":['
_Series = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class Cell:
    """A pane of the ten seconds as it stands; `offset` counts from their first event."""

    series: _Series
    count: int = 0
    total: int = 0
    buckets: dict[int, int] | None = None
    offset: int = 0

    def template(self) -> bytes:
        """The pane as JSON; its start, the offset of its last event and its version are to be filled in."""
        metric, labels = self.series
        return (
            f'{{"metric":"{metric}","labels":{json.dumps(dict(zip(METRICS[metric].labels, labels, strict=True)))},'
            f'"start":"%b","count":{self.count},"sum":{self.total},"buckets":{json.dumps(self.buckets or {})},'
            f'"last_offset":%d,"version":%d}}'
        ).encode()


@dataclass(slots=True)
class Written:
    """A flush of the ten seconds: the offset of its last event, the panes that have changed, and they as JSON."""

    last_offset: int
    panes: list[Cell]
    template: bytes

    def value(self, partition: int, at_ms: int, start_ms: int, first_offset: int) -> bytes:
        """A record of `panes.v1`."""
        start, filled = isoformat_of(start_ms).encode(), list[bytes | int]()
        for pane in self.panes:
            filled += start, first_offset + pane.offset, 2 * (first_offset + pane.offset)
        said_at = isoformat_of(at_ms - 100).encode()
        return self.template % (partition, first_offset + self.last_offset, said_at, said_at, *filled)


def an_event(chance: random.Random) -> list[_Series]:
    """The series that one event of a busy evening feeds."""
    kind = chance.choices(("api_request", "web_vital", "recipe_view", "menu_generated", "feature_exposure"), (45, 25, 15, 10, 5))[0]
    service = chance.choice(("menu-api", "recipe-api", "user-api")) if kind == "api_request" else "web"
    events: _Series = ("events", (kind, service))
    match kind:
        case "api_request":
            return [events, ("api_request", (service, f"/v1/{chance.randrange(8)}", chance.choices(("2xx", "4xx", "5xx"), (90, 8, 2))[0]))]
        case "web_vital":
            rating = chance.choices(("good", "needs-improvement", "poor"), (80, 15, 5))[0]
            return [events, ("web_vital", (chance.choice(("LCP", "INP", "CLS", "FCP", "TTFB")), f"/{chance.randrange(8)}", rating))]
        case "menu_generated":
            outcome = chance.choices(("full", "degraded", "failed"), (95, 3, 2))[0]
            return [events, ("menu_generation", (chance.choice(("ollama", "openai", "template")), outcome))]
        case "feature_exposure":
            return [events, ("feature_exposure", (f"flag-{chance.randrange(4)}", chance.choice("AB")))]
    return [events, ("recipe_interaction", ("view",))]


def ten_seconds(seed: int) -> list[Written]:
    """The flushes of one partition."""
    chance, cells, flushes = random.Random(seed), dict[_Series, Cell](), []
    for flush in range(_FLUSHES):
        changed: dict[_Series, Cell] = {}
        for offset in range(flush * _EVENTS // _FLUSHES, (flush + 1) * _EVENTS // _FLUSHES):
            for series in an_event(chance):
                cell = changed[series] = cells.setdefault(series, Cell(series))
                cell.count, cell.offset = cell.count + 1, offset
                if METRICS[series[0]].unit:
                    bucket = round(chance.gauss(330, 20))
                    cell.total += round(2 ** (bucket / 32) * 1_000_000)
                    cell.buckets = {**(cell.buckets or {}), bucket: (cell.buckets or {}).get(bucket, 0) + 1}
        panes = [replace(cell) for cell in changed.values()]
        template = _HEAD + b",".join(pane.template() for pane in panes) + b"]}"
        flushes.append(Written((flush + 1) * _EVENTS // _FLUSHES - 1, panes, template))
    return flushes


async def write_log(bootstrap_servers: str, begin_ms: int, tens: int) -> None:
    """`tens` times ten seconds of every partition from `begin_ms` on."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, compression_type="zstd", linger_ms=100, max_batch_size=900_000, max_request_size=2_000_000
    )
    await producer.start()
    flushes = [ten_seconds(partition) for partition in range(EVENT_PARTITIONS)]
    for number in range(tens):
        start_ms, first_offset = begin_ms + number * PANE_MS, number * _EVENTS
        for flush in range(_FLUSHES):
            at_ms = start_ms + (flush + 1) * PANE_MS // _FLUSHES
            for partition in range(EVENT_PARTITIONS):
                value = flushes[partition][flush].value(partition, at_ms, start_ms, first_offset)
                sent = await producer.send(topics.PANES.name, value, key=b"%d" % partition, partition=0, timestamp_ms=at_ms)
    await sent
    await producer.stop()


async def write_rows(settings: ClickHouse, begin_ms: int, tens: int) -> None:
    """What a worker stores of that."""
    client, rows = Client(settings, read_timeout_s=300), []
    for partition in range(EVENT_PARTITIONS):
        newest = {cell.series: cell for flush in ten_seconds(partition) for cell in flush.panes}
        for (metric, labels), cell in newest.items():
            named = dict(zip(METRICS[metric].labels, labels, strict=True))
            at_s = begin_ms / 1000
            rows.append((metric, named, at_s, partition, cell.count, cell.total, cell.buckets, cell.offset, at_s, 2 * cell.offset))
    await insert(client, PANES_RAW, encode(rows), len(rows))
    await client.command(f"""
INSERT INTO telemetry.panes_raw (metric, labels, start, source_partition, count, sum, buckets, last_offset, first_received_at, version)
SELECT metric, labels, start + toIntervalSecond(10 * number), source_partition, count, sum, buckets, last_offset + {_EVENTS} * number,
    first_received_at + toIntervalSecond(10 * number), version + 2 * {_EVENTS} * number
FROM telemetry.panes_raw ARRAY JOIN range(1, {tens}) AS number""")
    now_s = begin_ms / 1000 + tens * PANE_MS / 1000
    progress = [(partition, _EVENTS * tens, now_s, now_s) for partition in range(EVENT_PARTITIONS)]
    await insert(client, PARTITION_PROGRESS, encode(progress), len(progress))
    await client.close()


async def start(bootstrap_servers: str, clickhouse: ClickHouse, flushes: int) -> dict[str, Any]:
    """One start: seconds on the clock, and of the processor."""
    clock, config = SystemClock(), load_config()
    fence = Fence(bootstrap_servers, {topics.ALERTS.name: parse_alert, topics.ESCALATIONS.name: parse_escalation}, clock, said)
    loader = Loader(bootstrap_servers, config, fence, clickhouse, clock, said)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await loader.load(Resume(TopicPartition(topics.PANES.name, 0), flushes, 0, flushes))
    took = {"seconds": round(time.perf_counter() - began_s, 1), "cpu_seconds": round(time.process_time() - began_cpu_s, 1)}
    await fence.close()
    return took


@contextmanager
def filled_stack(folder: Path, tens: int) -> Iterator[tuple[str, ClickHouse]]:
    """Kafka and ClickHouse with the log and its rows."""
    with embedded_broker(folder / "kafka") as bootstrap_servers, embedded_clickhouse(folder / "clickhouse") as server:
        settings = ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password))
        begin_ms = time.time_ns() // 1_000_000 // PANE_MS * PANE_MS - tens * PANE_MS

        async def fill() -> None:
            await migrate(Settings(clickhouse=settings))
            await ensure_topics(bootstrap_servers)
            await write_rows(settings, begin_ms, tens)
            await write_log(bootstrap_servers, begin_ms, tens)

        asyncio.run(fill())
        yield bootstrap_servers, settings


def main() -> int:
    """Print what both ways take."""
    tens = int(os.environ.get("COLD_START_MINUTES", "90")) * 6
    flushes = tens * _FLUSHES * EVENT_PARTITIONS
    with tempfile.TemporaryDirectory() as folder, filled_stack(Path(folder), tens) as (bootstrap_servers, clickhouse):
        away = ClickHouse(url=f"http://127.0.0.1:{free_port()}")
        took = {
            "flushes": flushes,
            "with ClickHouse": asyncio.run(start(bootstrap_servers, clickhouse, flushes)),
            "Kafka alone": asyncio.run(start(bootstrap_servers, away, flushes)),
        }
    sys.stdout.write(json.dumps(took, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
