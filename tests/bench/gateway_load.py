"""What one gateway takes on a core of its own: single events over 32 kept-alive connections, and batches, plain and zstd.

Every connection sends its next request when it has its answer, so the gateway is as busy as it can be and the waits are those of a
full gateway. The events are read by nobody; Kafka must have each one that was answered with 202.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, TopicPartition
from backports import zstd

from pipeline.embedded.ports import HOST, free_port
from pipeline.gateway.events import PATH
from schemas.topics import EVENTS
from tests.bench.bench import Bench, Row
from tests.bench.events import Spec, events
from tests.bench.http_load import Load, Request, drive, post
from tests.bench.measured import Measured
from tests.bench.rig import Rig
from tests.bench.sightings import quantile_ms

WARM_UP_S: Final = 3.0
MEASURED_S: Final = 10.0
_POOL: Final = 40_000
#: It also says itself how much it has accepted, once a minute.
MOST_OF_ITS_OWN: Final = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """How events are sent."""

    name: str
    events: int
    connections: int
    zstd: bool = False


KINDS: Final = (
    Kind("one event, JSON", 1, 32),
    Kind("100 events, NDJSON", 100, 8),
    Kind("100 events, NDJSON, zstd", 100, 8, zstd=True),
    Kind("500 events, NDJSON", 500, 8),
    Kind("500 events, NDJSON, zstd", 500, 8, zstd=True),
)


def section(bench: Bench) -> dict[str, list[Row]]:
    """`gateway`: a row per kind of request; the resident memory is the most that was seen so far."""
    bench.rig.reset()
    gateway = start(bench.rig)
    values = [made.value for made in events(Spec(_POOL, time.time_ns() // 1_000_000))]
    try:
        rows = [_row(bench, gateway, kind, values) for kind in KINDS]
    finally:
        gateway.stop()
    return {"gateway": rows}


def requests(kind: Kind, values: Sequence[bytes], host: str) -> list[Request]:
    """The events in requests of that kind."""
    content_type, encoding = ("application/json" if kind.events == 1 else "application/x-ndjson"), ("zstd" if kind.zstd else "")
    groups = [values[begin : begin + kind.events] for begin in range(0, len(values), kind.events)]
    bodies = [b"\n".join(group) for group in groups]
    if kind.zstd:
        bodies = [zstd.compress(body) for body in bodies]
    return [post(host, PATH, body, len(group), content_type, encoding) for body, group in zip(bodies, groups, strict=True)]


def start(rig: Rig) -> Measured:
    """A gateway, ready, alone on the measured core."""
    port = free_port()
    env = {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": rig.kafka, "TELEMETRY_GATEWAY__HOST": HOST, "TELEMETRY_GATEWAY__PORT": str(port)}
    gateway = rig.start("gateway", [sys.executable, "-m", "pipeline.cli.main", "gateway"], rig.cores.worker, env, f"http://{HOST}:{port}")
    gateway.wait_until_ready()
    return gateway


def _row(bench: Bench, gateway: Measured, kind: Kind, values: Sequence[bytes]) -> Row:
    bench.say(f"gateway: {kind.name}, {kind.connections} connections")
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    assert address.port is not None
    load = Load(cycle(requests(kind, values, address.netloc)))
    before = asyncio.run(_events_on_kafka(bench.rig.kafka))
    window = asyncio.run(_drive(gateway, load, kind, address.hostname, address.port))
    arrived = asyncio.run(_events_on_kafka(bench.rig.kafka)) - before
    answered = sum(answer.events for answer in load.answers)
    if not 0 <= arrived - answered <= MOST_OF_ITS_OWN:
        raise ValueError(f"{arrived:,} events on Kafka of {answered:,} that were answered with 202")
    answers = [answer for answer in load.answers if window.began_s <= answer.began_s + answer.wait_ms / 1000 < window.ended_s]
    accepted, wall_s = sum(answer.events for answer in answers), window.ended_s - window.began_s
    waits = [(answer.wait_ms, 1) for answer in answers]
    return {
        "request": kind.name,
        "connections": kind.connections,
        "requests_per_s": round(len(answers) / wall_s),
        "events_per_s": round(accepted / wall_s),
        "cpu_us_per_event": round(window.cpu_s / accepted * 1e6, 1),
        "p50_ms": quantile_ms(waits, 0.5),
        "p99_ms": quantile_ms(waits, 0.99),
        "rss_mb": round(gateway.peak_rss_mb()),
        "busy_cores": round(window.cpu_s / wall_s, 2),
        "sender_busy_cores": round(window.sender_cpu_s / wall_s, 2),
    }


@dataclass(frozen=True, slots=True)
class _Window:
    """What was measured between two instants (monotonic) in the middle of the load."""

    began_s: float
    ended_s: float
    cpu_s: float
    sender_cpu_s: float


async def _drive(gateway: Measured, load: Load, kind: Kind, host: str, port: int) -> _Window:
    driving = asyncio.create_task(drive(host, port, load, kind.connections))
    await asyncio.sleep(WARM_UP_S)
    began_s, cpu_s, sender_cpu_s = time.monotonic(), gateway.cpu_s(), time.process_time()
    await asyncio.sleep(MEASURED_S)
    window = _Window(began_s, time.monotonic(), gateway.cpu_s() - cpu_s, time.process_time() - sender_cpu_s)
    load.stop = True
    await driving
    return window


async def _events_on_kafka(kafka: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(EVENTS.name, number) for number in range(EVENTS.partitions)])
        return sum(ends.values())
    finally:
        await consumer.stop()
