"""Alerters and notifiers as processes, a broker of their own, and the topics as a reader from outside sees them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.embedded.ports import free_port
from schemas.pane import Flush
from schemas.topics import PREFIX
from tests.receivers.server import Receiver
from tests.unit.alerting.traffic import Source, sources

ROUTING_KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class Role:
    """One process; `kill` is SIGKILL."""

    process: subprocess.Popen[bytes]
    health: str
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=20)

    def ready(self) -> bool:
        return _get(self.health + "/readyz") is not None

    def active(self) -> bool:
        """It owns the partition and acts."""
        return any(
            line.startswith("nutricoach_alerting_active") and line.endswith(" 1.0")
            for line in (_get(self.health + "/metrics") or "").splitlines()
        )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def role(name: str, env: dict[str, str], directory: Path, *, faust: bool = False) -> Iterator[Role]:
    """`telemetry <name>`, or the same under Faust's own command line; ended when the block ends."""
    port = free_port()
    telemetry = ["-m", "pipeline.cli.main", name]
    command = [sys.executable, *(["-m", "faust", "-A", f"alerting.{name}", "worker"] if faust else telemetry)]
    log_file = directory / f"{name}-{port}.log"
    environment = {**os.environ, **env, "TELEMETRY_HEALTH__PORT": str(port)}
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    running = Role(process, f"http://127.0.0.1:{port}", log_file)
    try:
        yield running
    finally:
        process.kill()
        process.wait()


def environment(
    bootstrap_servers: str, slack: Receiver | None = None, pagerduty: Receiver | None = None, *, config: Path | None = None
) -> dict[str, str]:
    """The settings of a role; without receivers their notifications go to its log, without `config` it has the shipped rules.

    There is no ClickHouse: whatever listens at its usual address is not the test's.
    """
    env = {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers, "TELEMETRY_CLICKHOUSE__URL": f"http://127.0.0.1:{free_port()}"}
    if config is not None:
        env["TELEMETRY_ALERTING__CONFIG_DIR"] = str(config)
    if slack is not None:
        env["TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL"] = slack.url + "/services/T000/B000/secret-of-slack"
    if pagerduty is not None:
        env |= {
            "TELEMETRY_RECEIVERS__PAGERDUTY__URL": pagerduty.url + "/v2/enqueue",
            "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY": ROUTING_KEY,
        }
    return env


async def until(condition: Callable[[], object], what: str, within_s: float = 30.0) -> None:
    """Wait for it; blocking conditions are asked in a thread."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)


async def eventually(condition: Callable[[], Awaitable[object]], within_s: float, what: str) -> None:
    """The same for a condition that waits itself."""
    deadline = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.3)


async def the_active(pair: list[Role]) -> Role:
    """The one of them that acts; there is never more than one that knows of it."""
    await until(lambda: sum(one.active() for one in pair) == 1, "exactly one is active")
    return next(one for one in pair if one.active())


async def read_topic(bootstrap_servers: str, topic: str) -> list[dict[str, Any]]:
    """Every record of alerts.v1, …, as JSON."""
    tp = TopicPartition(PREFIX + topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        records: list[dict[str, Any]] = []
        while await consumer.position(tp) < end:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += [json.loads(record.value) for record in batch]
        return records
    finally:
        await consumer.stop()


class Traffic:
    """The workers of a service: panes of menus to `panes.v1`, at event times of one's own choosing."""

    def __init__(self, producer: AIOKafkaProducer, base_ms: int) -> None:
        self.producer, self.sources = producer, sources(base_ms=base_ms)

    async def send(self, flush: Flush) -> None:
        key = str(flush.source_partition).encode()
        await self.producer.send_and_wait(PREFIX + "panes.v1", flush.model_dump_json().encode(), key)

    async def pane(self, start_s: float, good: int = 40, failed: int = 0, failed_ms: float = 1000.0) -> None:
        """Ten seconds of traffic in every partition, flushed at their end."""
        await self._each(lambda source: source.menus(start_s + 5, good) if good else source)
        await self._each(lambda source: source.failures(start_s + 6, failed, each_ms=failed_ms) if failed else source)
        for source in self.sources:
            await self.send(source.flush(caught_up_s=start_s + 9.9))

    async def idle(self, at_s: float) -> None:
        """Every partition says that there is nothing new."""
        for source in self.sources:
            await self.send(source.flush(caught_up_s=at_s))

    async def _each(self, add: Callable[[Source], Source]) -> None:
        for source in self.sources:
            add(source)


@asynccontextmanager
async def traffic(bootstrap_servers: str, *, began_s_ago: float = 300.0) -> AsyncIterator[Traffic]:
    """Event time 0 is the start of a minute about `began_s_ago` seconds ago."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        base_ms = int(time.time() - began_s_ago) // 60 * 60_000
        yield Traffic(producer, base_ms)
    finally:
        await producer.stop()


async def outage_and_recovery(load: Traffic, between: Callable[[], Awaitable[None]]) -> None:
    """A good minute, 10 s of failures, whatever `between` does, then health until the incident must be over."""
    for start in range(0, 50, 10):
        await load.pane(start)
    await load.pane(50, good=0, failed=40)
    await between()
    for start in range(60, 160, 10):
        await load.pane(start)


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            text: str = response.read().decode()
            return text
    except OSError:
        return None
