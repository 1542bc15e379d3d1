"""The process: what it says when it cannot start, how it stops, and what outlives it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.embedded.clickhouse_http import command
from pipeline.embedded.ports import free_port
from tests.contract.clickhouse_http.server import PASSWORD, USER, Server, environment, running, start, stop
from tests.contract.clickhouse_http.test_limits import ENDLESS

ROWS = b"".join(b'{"n":%d}\n' % number for number in range(1_000))


def fail_to_start(path: Path, port: int, cwd: Path | None = None, **env: str) -> tuple[int, list[str]]:
    """The exit status and the lines on stderr."""
    ended = subprocess.run(command(path, port), env=environment() | env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr.splitlines()


def test_rows_survive_kill_9(tmp_path: Path) -> None:
    """What was acknowledged is there after SIGKILL in the middle of inserts, every batch whole."""
    server = start(tmp_path / "data")
    server.ask("CREATE TABLE t (batch UInt64, n UInt64) ENGINE = MergeTree ORDER BY n", writer=True)
    acknowledged: list[int] = []

    def insert() -> None:
        batch = 0
        try:
            while True:
                body = ROWS.replace(b"{", b'{"batch":%d,' % batch)
                assert server.post(body, "/?async_insert=0&query=INSERT+INTO+t+FORMAT+JSONEachRow", writer=True).status == 200
                acknowledged.append(batch)
                batch += 1
        except OSError:
            return

    thread = threading.Thread(target=insert)
    thread.start()
    server.wait_until(lambda: len(acknowledged) >= 10)
    assert stop(server, signal.SIGKILL) == -signal.SIGKILL
    thread.join()
    with running(tmp_path / "data") as again:
        batches = [line.split("\t") for line in again.ask("SELECT batch, count() FROM t GROUP BY batch ORDER BY batch").splitlines()]
    assert {rows for _, rows in batches} == {"1000"}
    present = {int(batch) for batch, _ in batches}
    assert set(acknowledged) <= present
    assert len(present) <= len(acknowledged) + 1


def test_state_survives_a_stop(tmp_path: Path) -> None:
    """Tables, views and rows are there after SIGTERM and a new start, and a third one."""
    with running(tmp_path / "data") as server:
        server.ask("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n", writer=True)
        server.ask("CREATE VIEW v AS SELECT n FROM t WHERE n < {top:UInt64}", writer=True)
        assert server.post(ROWS, "/?query=INSERT+INTO+t+FORMAT+JSONEachRow", writer=True).status == 200
    for _ in range(2):
        with running(tmp_path / "data") as server:
            assert server.ask("SELECT count() FROM v(top = 10)") == "10"
            assert server.ask("SELECT count() FROM t") == "1000"


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_stops_within_3_s_while_queries_run(tmp_path: Path, signal_number: int) -> None:
    """A stop kills what runs and exits with 0, in under 3 s."""
    server = start(tmp_path / "data")
    codes: list[object] = []

    def ask(target: str) -> None:
        try:
            codes.append(server.post(ENDLESS, target).code)
        except OSError as error:
            codes.append(error)

    threads = [
        threading.Thread(target=ask, args=(target,)) for target in ("/", "/?default_format=JSON", f"/?user={USER}&password={PASSWORD}")
    ]
    for thread in threads:
        thread.start()
    server.wait_until(lambda: server.ask("SELECT count() FROM system.processes") == "4")
    started = time.monotonic()
    assert stop(server, signal_number) == 0
    assert time.monotonic() - started < 3
    for thread in threads:
        thread.join(10)
    assert len(codes) == 3


def test_second_server_on_a_directory(server: Server) -> None:
    """It names the process that has it, in one line, and leaves that one alone."""
    status, lines = fail_to_start(server.path, free_port())
    assert status == 1
    assert lines == [f"{server.path} is in use by another engine (process {server.process.pid}): stop that one, or choose another --path"]
    assert server.ask("SELECT 1") == "1"


def test_port_in_use(tmp_path: Path) -> None:
    """One line, and no data directory is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = fail_to_start(tmp_path / "data", port)
    assert status == 1
    assert lines == [f"cannot listen on 127.0.0.1:{port} (Address already in use): stop what uses it, or choose another --port"]
    assert not (tmp_path / "data").exists()


def test_path_that_cannot_be_written(tmp_path: Path) -> None:
    """One line that says why."""
    (tmp_path / "file").write_text("")
    status, lines = fail_to_start(tmp_path / "file" / "data", free_port())
    assert status == 1
    assert lines == [f"cannot write to {tmp_path}/file/data: Not a directory; free some space or choose another --path"]


def test_half_credentials(tmp_path: Path) -> None:
    """A user without a password is a mistake in the configuration: exit 2."""
    status, lines = fail_to_start(tmp_path / "data", free_port(), TELEMETRY_CLICKHOUSE__PASSWORD="")
    assert (status, len(lines)) == (2, 1)
    assert "TELEMETRY_CLICKHOUSE__PASSWORD" in lines[0]


def test_configuration_of_the_current_directory_is_not_read(tmp_path: Path) -> None:
    """chDB would load a config.xml that lies where the process is started."""
    (tmp_path / "config.xml").write_text("<this is no configuration")
    port = free_port()
    process = subprocess.Popen(command(tmp_path / "data", port), env=environment() | {"PYTHONPATH": os.getcwd()}, cwd=tmp_path)
    server = Server(process, port, tmp_path / "data")
    server.wait_until(lambda: server.answers())
    assert server.ask("SELECT count() FROM system.server_settings WHERE name = 'config-file' AND value LIKE '%engine.xml'") == "1"
    assert stop(server) == 0


def test_process_group_is_its_own(server: Server) -> None:
    """A signal of the engine to its group would not reach whoever started it."""
    assert os.getpgid(server.process.pid) == server.process.pid != os.getpgrp()


def test_engine_is_loaded_only_where_it_runs() -> None:
    """Naming the command does not load chDB, after which a fork would hang."""
    code = "import sys; from pipeline.embedded.clickhouse_http import command; print('chdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
