"""Servers that one test may break: an engine that can be killed and started again, and a broker of the test's own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from pipeline.clickhouse.migrations import migrate
from pipeline.embedded.ports import free_port
from pipeline.embedded.readiness import is_ready
from pipeline.runtime.settings import ClickHouse, Settings
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.worker.stack import Stack
from tests.stack_fixtures import ClickHouseServer, embedded_broker
from tests.waiting import wait_until


def prepare(kafka: str, clickhouse: ClickHouseServer) -> None:
    """Topics and tables, as `telemetry topics` and `telemetry migrate` make them."""
    asyncio.run(ensure_topics(kafka))
    asyncio.run(migrate(Settings(clickhouse=ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password)))))


class Warehouse:
    """An engine that can be killed and started again on the same files and port."""

    def __init__(self, folder: Path) -> None:
        self.server = ClickHouseServer(f"http://127.0.0.1:{free_port()}", "writer", "secret")
        self._folder = folder
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        port = self.server.url.rsplit(":", 1)[1]
        command = [sys.executable, "-m", "pipeline.embedded.clickhouse_http", "--path", str(self._folder / "store"), "--port", port]
        env = {"TELEMETRY_CLICKHOUSE__USER": self.server.user, "TELEMETRY_CLICKHOUSE__PASSWORD": self.server.password}
        with (self._folder / "clickhouse.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env})
        wait_until(lambda: is_ready(f"{self.server.url}/ping"), 60, "the engine answers")
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def own_stack(folder: Path) -> Iterator[tuple[Stack, Warehouse]]:
    with embedded_broker(folder / "kafka") as kafka:
        warehouse = Warehouse(folder)
        stack = Stack(kafka, warehouse.server, folder)
        try:
            prepare(kafka, warehouse.server)
            yield stack, warehouse
        finally:
            stack.stop_roles()
            warehouse.kill()
