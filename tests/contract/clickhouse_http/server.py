"""Starts the embedded ClickHouse as the process people run, and stops it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from pipeline.embedded.clickhouse_http import command
from pipeline.embedded.ports import free_port
from tests.waiting import wait_until

USER, PASSWORD = "writer", "a-long-password"
START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        """ClickHouse's error number, 0 when there is none."""
        return int(self.headers.get("x-clickhouse-exception-code", "0"))


@dataclass(frozen=True)
class Server:
    """A running server on `port` over the data directory `path`."""

    process: subprocess.Popen[bytes]
    port: int
    path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, *, writer: bool = False, **options: Any) -> Client:
        credentials: dict[str, Any] = {"username": USER, "password": PASSWORD} if writer else {}
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **credentials, **options)

    def post(self, body: bytes | str = b"", target: str = "/", *, writer: bool = False, method: str = "POST", **headers: str) -> Answer:
        """One request by hand; `headers` with `_` for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if writer:
            sent |= {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD}
        try:
            connection.request(method, target, body.encode() if isinstance(body, str) else body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            return self.post(target="/ping", method="GET").body == b"Ok.\n"
        except OSError:
            return False

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait for `condition`; fails after `timeout_s`, or when the server has ended."""

        def look() -> bool:
            assert self.process.poll() is None, "the server has ended"
            return condition()

        wait_until(look, timeout_s, "what was waited for", every_s=0.02)

    def ask(self, sql: str, *, writer: bool = False) -> str:
        """The answer to a statement that must work, without its last newline."""
        answer = self.post(sql, writer=writer)
        assert answer.status == 200, answer.text
        return answer.text.rstrip("\n")


def environment(*, writer: bool = True) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TELEMETRY_")}
    if writer:
        env |= {"TELEMETRY_CLICKHOUSE__USER": USER, "TELEMETRY_CLICKHOUSE__PASSWORD": PASSWORD}
    return env


def start(path: Path, *, writer: bool = True) -> Server:
    """Start and wait until `/ping` answers."""
    port = free_port()
    log = (path.parent / f"{path.name}.log").open("ab")
    with log:
        process = subprocess.Popen(command(path, port), env=environment(writer=writer), stdout=log, stderr=subprocess.STDOUT)
    server = Server(process, port, path)
    try:
        server.wait_until(server.answers, START_TIMEOUT_S)
    except AssertionError as error:
        process.kill()
        raise AssertionError(f"{error}: {Path(log.name).read_text()}") from None
    return server


def stop(server: Server, signal_number: int = signal.SIGTERM) -> int:
    """Send the signal, wait for the end and give the exit status (negative: the signal that ended it)."""
    server.process.send_signal(signal_number)
    try:
        return server.process.wait(timeout=30)
    finally:
        server.process.kill()


@contextmanager
def running(path: Path, *, writer: bool = True) -> Iterator[Server]:
    server = start(path, writer=writer)
    try:
        yield server
    finally:
        stop(server)
