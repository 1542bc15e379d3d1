"""The broker and the engine every measurement runs against, on the cores the measured process does not have."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from pydantic import SecretStr

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.migrations import migrate
from pipeline.embedded.ports import HOST, free_port
from pipeline.runtime.settings import ClickHouse, Settings
from pipeline.runtime.topics_admin import ensure_topics
from schemas.topics import TOPICS
from tests.bench.measured import Measured
from tests.bench.pinning import Cores, choose_cores, pinned_to
from tests.stack_fixtures import ClickHouseServer, embedded_broker, embedded_clickhouse

ROOT: Final = Path(__file__).parents[2]
_GONE_WITHIN_S: Final = 30.0


@dataclass(slots=True)
class Rig:
    """Where broker and engine are, and the processes started on them."""

    kafka: str
    clickhouse: ClickHouseServer
    cores: Cores
    folder: Path
    started: list[Measured] = field(default_factory=list)

    def reset(self) -> None:
        """Begin empty: all topics and the database are made anew. Nothing may read or write meanwhile."""
        asyncio.run(_empty_topics(self.kafka))
        asyncio.run(_empty_database(self._settings()))

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT."""
        return self.clickhouse.query(sql)

    def one(self, sql: str) -> Any:
        """The only value of a SELECT."""
        return self.clickhouse.one(sql)

    def start(self, name: str, command: Sequence[str], cores: frozenset[int], env: Mapping[str, str], url: str = "") -> Measured:
        """Start a process confined to `cores`, from the project's root; its output goes to a log named after it."""
        log = self.folder / f"{name}-{len(self.started)}.log"
        with log.open("wb") as output, pinned_to(cores):
            process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **env}, cwd=ROOT)
        measured = Measured(process, log, url)
        self.started.append(measured)
        return measured

    def start_worker(self, cores: frozenset[int] | None = None, **env: str) -> Measured:
        """A real worker of ours, ready to read; on the measured core unless others are given."""
        port = free_port()
        settings = {
            "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "TELEMETRY_CLICKHOUSE__URL": self.clickhouse.url,
            "TELEMETRY_CLICKHOUSE__USER": self.clickhouse.user,
            "TELEMETRY_CLICKHOUSE__PASSWORD": self.clickhouse.password,
            "TELEMETRY_HEALTH__PORT": str(port),
        }
        command = [sys.executable, "-m", "pipeline.cli.main", "worker"]
        worker = self.start("worker", command, cores or self.cores.worker, settings | env, f"http://{HOST}:{port}")
        worker.wait_until_ready()
        return worker

    def stop_all(self) -> None:
        for measured in self.started:
            measured.stop()

    def _settings(self) -> Settings:
        server = self.clickhouse
        return Settings(clickhouse=ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password)))


@contextmanager
def running_rig(folder: Path, cores: Cores | None = None) -> Iterator[Rig]:
    """A broker and an engine of their own until the block ends, together with everything that was started on them.

    Without `cores` the measured process has one of its own.
    """
    cores = cores or choose_cores(os.sched_getaffinity(0))
    with pinned_to(cores.rest), embedded_broker(folder / "kafka") as kafka, embedded_clickhouse(folder / "clickhouse") as clickhouse:
        rig = Rig(kafka, clickhouse, cores, folder)
        try:
            yield rig
        finally:
            rig.stop_all()


async def _empty_topics(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        ours = {topic.name for topic in TOPICS}
        if there := sorted(ours & set(await admin.list_topics())):
            await admin.delete_topics(there)
            deadline = time.monotonic() + _GONE_WITHIN_S
            while ours & set(await admin.list_topics()):
                if time.monotonic() > deadline:
                    raise TimeoutError("the broker does not let go of its topics")
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    await ensure_topics(kafka)


async def _empty_database(settings: Settings) -> None:
    client = Client(settings.clickhouse, database=None)
    try:
        await client.command("DROP DATABASE IF EXISTS telemetry SYNC")
    finally:
        await client.close()
    await migrate(settings)
