"""Workers as processes on a real broker and a real engine, and what a test says to and asks of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.readiness import is_ready
from tests.stack_fixtures import ClickHouseServer

EVENTS = "nutricoach.telemetry.events.v1"
PANES = "nutricoach.telemetry.panes.v1"
DLQ = "nutricoach.telemetry.dlq.v1"


@dataclass
class Role:
    """A process of ours; `url` serves its health."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over those of its labels that contain `label`; 0 while the process does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (OSError, urllib.error.URLError):
            return 0.0
        named = [line for line in lines if line.split("{", 1)[0].split(" ", 1)[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in named if label in line)


@dataclass
class Stack:
    """Kafka and ClickHouse, and the processes a test has started on them."""

    kafka: str
    clickhouse: ClickHouseServer
    folder: Path
    roles: list[Role] = field(default_factory=list)

    def start_worker(self, **env: str) -> Role:
        """Start one; it need not be ready when this returns."""
        return self.start("worker", **env)

    def start(self, role: str, first: str = "", **env: str) -> Role:
        """Start a role of the command line, in a process that runs the Python of `first` before."""
        port = free_port()
        log = self.folder / f"{role}-{len(self.roles)}-{port}.log"
        settings = {
            "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "TELEMETRY_CLICKHOUSE__URL": self.clickhouse.url,
            "TELEMETRY_CLICKHOUSE__USER": self.clickhouse.user,
            "TELEMETRY_CLICKHOUSE__PASSWORD": self.clickhouse.password,
            "TELEMETRY_HEALTH__PORT": str(port),
        }
        with log.open("wb") as output:
            command = [sys.executable, "-c", f"{first}\nfrom pipeline.cli.main import main\nmain()", role]
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **settings, **env})
        started = Role(process, f"http://{HOST}:{port}", log)
        self.roles.append(started)
        return started

    def stop_roles(self) -> None:
        for role in self.roles:
            if role.process.poll() is None:
                role.signal(signal.SIGCONT)
                role.process.terminate()
        for role in self.roles:
            try:
                role.process.wait(20)
            except subprocess.TimeoutExpired:
                role.kill()
        self.roles.clear()

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT."""
        return self.clickhouse.query(sql)

    def one(self, sql: str) -> Any:
        """The only value of a SELECT."""
        return self.clickhouse.one(sql)

    async def send(self, events: Iterable[dict[str, Any] | bytes], partition: int | None = None) -> None:
        """Publish as any Kafka producer may: JSON, keyed by the key rule, partitioned by Kafka's own default."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=5)
        await producer.start()
        try:
            sends = []
            for event in events:
                value = event if isinstance(event, bytes) else json.dumps(event).encode()
                sends.append(await producer.send(EVENTS, value, key=_key(event), partition=partition))
            await asyncio.gather(*sends)
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """Everything in a topic of one partition now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            tp = TopicPartition(topic, 0)
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            records: list[Any] = []
            while await consumer.position(tp) < end:
                records += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
            return records
        finally:
            await consumer.stop()


def _key(event: dict[str, Any] | bytes) -> bytes | None:
    if isinstance(event, bytes):
        return b"poison"
    key: str = event.get("user_id") or event.get("session_id") or event["event_id"]
    return key.encode()


def ready(worker: Role) -> bool:
    """Whether a worker says so, and is alive."""
    if worker.process.poll() is not None:
        raise AssertionError(f"worker exited {worker.process.returncode}: {worker.log.read_text()[-2000:]}")
    return is_ready(f"{worker.url}/readyz")


def menu(service: str, at_ms: int, user: str, outcome: str = "full", duration_ms: float = 100.0) -> dict[str, Any]:
    """A menu_generated event."""
    seconds, ms = divmod(at_ms, 1000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": f"{stamp}.{ms:03d}Z",
        "source": {"service": service, "environment": "test"},
        "user_id": user,
        "properties": {"recipe_count": 1, "restrictions": [], "generation_time_ms": duration_ms, "outcome": outcome, "provider": service},
    }
