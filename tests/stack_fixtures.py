"""The real Kafka and the real ClickHouse that tests share: containers when a Docker engine answers, else the embedded stack."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.embedded.kafka import server_properties
from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.readiness import is_ready
from tests.waiting import wait_until

_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 10.0
_KAFKA_IMAGE = "apache/kafka:4.3.1"
_CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"


@dataclass(frozen=True, slots=True)
class ClickHouseServer:
    """Where the server is and its writer; without credentials one is the reader (embedded engine)."""

    url: str
    user: str
    password: str

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT, over plain HTTP."""
        parameters = {"database": "telemetry", "default_format": "JSONEachRow", "output_format_json_quote_64bit_integers": "0"}
        request = urllib.request.Request(f"{self.url}/?{urllib.parse.urlencode(parameters)}", data=sql.encode())
        request.add_header("X-ClickHouse-User", self.user)
        request.add_header("X-ClickHouse-Key", self.password)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [json.loads(line) for line in answer]

    def one(self, sql: str) -> Any:
        """The only value of a SELECT."""
        ((value,),) = (row.values() for row in self.query(sql))
        return value


@contextmanager
def running(command: list[str], log_file: Path, ready: Callable[[], bool], env: dict[str, str] | None = None) -> Iterator[int]:
    """Run `command` until the block ends; yields its pid once `ready()`, fails with its log when it dies or takes too long."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        try:
            _wait(ready, command[2], gone=lambda: process.poll() is not None)
        except AssertionError as error:
            pytest.fail(f"{error}:\n{log_file.read_text('utf-8', 'replace')[-2000:]}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def embedded_broker(data_dir: Path, port: int | None = None) -> Iterator[str]:
    """An embedded Apache Kafka of its own; yields its bootstrap servers."""
    with _broker_process(data_dir, port) as (bootstrap_servers, _):
        yield bootstrap_servers


@contextmanager
def broker_to_harm(data_dir: Path) -> Iterator[tuple[str, int]]:
    """The same, with its process id: it may be stopped with SIGSTOP, and goes on at the end."""
    with _broker_process(data_dir) as (bootstrap_servers, pid):
        try:
            yield bootstrap_servers, pid
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _broker_process(data_dir: Path, port: int | None = None) -> Iterator[tuple[str, int]]:
    data_dir.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [sys.executable, "-m", "pipeline.embedded.kafka", "--data-dir", str(data_dir), "--port", str(port)]
    with running(command, data_dir / "kafka.log", lambda: is_ready(f"kafka://{HOST}:{port}")) as pid:
        yield f"{HOST}:{port}", pid


@contextmanager
def embedded_clickhouse(data_dir: Path, port: int | None = None) -> Iterator[ClickHouseServer]:
    """An embedded ClickHouse of its own, with a writer."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    server = ClickHouseServer(f"http://{HOST}:{port}", "writer", "writer-of-the-tests")
    command = [sys.executable, "-m", "pipeline.embedded.clickhouse_http", "--path", str(data_dir / "store"), "--port", str(port)]
    env = {"TELEMETRY_CLICKHOUSE__USER": server.user, "TELEMETRY_CLICKHOUSE__PASSWORD": server.password}
    with running(command, data_dir / "clickhouse.log", lambda: is_ready(f"{server.url}/ping"), env):
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of one real broker for the whole run; topics are not created."""
    if docker_answers():
        with _broker_container() as bootstrap_servers:
            yield bootstrap_servers
        return
    with embedded_broker(tmp_path_factory.mktemp("kafka")) as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One real ClickHouse for the whole run; migrations are not applied."""
    with any_clickhouse(tmp_path_factory) as server:
        yield server


@contextmanager
def any_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """An empty ClickHouse server where a Docker engine answers, else an embedded one."""
    if docker_answers():
        from testcontainers.clickhouse import ClickHouseContainer

        with ClickHouseContainer(_CLICKHOUSE_IMAGE, username="writer", password="writer-of-the-tests") as container:
            url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
            yield ClickHouseServer(url, container.username, container.password)
        return
    with embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@contextmanager
def _broker_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    port = free_port()  # the same inside and outside: clients are sent to the address that is advertised
    settings = server_properties(Path("/tmp/kafka-log"), port, free_port())
    settings["listeners"] = settings["listeners"].replace(f"PLAINTEXT://{HOST}", "PLAINTEXT://0.0.0.0")
    container = DockerContainer(_KAFKA_IMAGE).with_bind_ports(port, port)
    for name, value in settings.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    with container:
        _wait(lambda: is_ready(f"kafka://{HOST}:{port}"), "the broker's container")
        yield f"{HOST}:{port}"


def _wait(ready: Callable[[], bool], what: str, gone: Callable[[], bool] = lambda: False) -> None:
    """Until `ready()`, unless the process has ended."""

    def look() -> bool:
        assert not gone(), f"{what} has ended"
        return ready()

    wait_until(look, _READY_WITHIN_S, f"{what} is ready")


@cache
def docker_answers() -> bool:
    """True when the Docker engine that the clients would use answers a ping."""
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    family, target = (socket.AF_UNIX, address.path) if address.scheme == "unix" else (socket.AF_INET, (address.hostname, address.port))
    try:
        with socket.socket(family) as connection:
            connection.settimeout(5)
            connection.connect(target)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
