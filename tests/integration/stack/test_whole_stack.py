from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.embedded.stack_state import Process, read_state
from pipeline.embedded.stopping import stop_stack
from tests.waiting import wait_until

PATIENCE_S = 90.0
ROLES = {"gateway", "worker-0", "worker-1", "alerter", "notifier", "console", "embedded-kafka", "embedded-clickhouse"}

pytestmark = pytest.mark.timeout(300)


class Stack:
    """The stack on a directory of its own, driven as a person does: by the command line."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def telemetry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.cli.main", *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.telemetry("up", "--detach", "--ports", "auto", "--workers", "2", "--no-host-events")

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.telemetry("status", "--format", "json").stdout)
        return answer

    def select(self, sql: str) -> str:
        with urllib.request.urlopen(f"{self.status()['clickhouse']}/", sql.encode(), timeout=10) as answer:
            text: str = answer.read().decode().strip()
            return text


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack") / "data")
    try:
        started = stack.up()
        assert started.returncode == 0, started.stderr
        yield stack
    finally:
        stop_stack(stack.data_dir)


def until(condition: Callable[[], bool]) -> None:
    wait_until(condition, PATIENCE_S, "it came to pass", 0.1)


def test_status_is_as_the_contract_has_it(stack: Stack) -> None:
    """Ready, exit 0, the documented keys and no others, every role with pid, state, restarts and url."""
    answer = stack.telemetry("status", "--format", "json")
    found = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert set(found) == {"state", "kafka", "clickhouse", "gateway", "console", "roles"}
    assert found["state"] == "ready"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", found["kafka"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found["clickhouse"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found["gateway"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", found["console"])
    assert set(found["roles"]) == ROLES
    for role in found["roles"].values():
        assert set(role) == {"pid", "state", "restarts", "url"}
        assert (role["state"], role["restarts"]) == ("ready", 0)


def test_every_role_serves_health_and_metrics(stack: Stack) -> None:
    """/healthz, /readyz and /metrics answer 200 at the url of each role."""
    for name, role in stack.status()["roles"].items():
        if role["url"] is None:
            assert name.startswith("embedded-")
            continue
        for path in ("/healthz", "/readyz", "/metrics"):
            with urllib.request.urlopen(role["url"] + path, timeout=10) as answer:
                assert answer.status == 200, (name, path)


def test_clickhouse_address_is_the_readers(stack: Stack) -> None:
    """It works as it stands, on the migrated database, and does not let the reader write."""
    assert stack.select("SELECT count() FROM telemetry.events") == "0"
    with pytest.raises(urllib.error.HTTPError):
        stack.select("CREATE TABLE telemetry.mine (a Int8) ENGINE = Memory")


def test_writers_password_is_with_the_workers_only(stack: Stack) -> None:
    """It is kept readable by its owner only, and is in the environment of nobody but the engine and the workers."""
    file = stack.data_dir / "clickhouse-writer.json"
    password = json.loads(file.read_text())["password"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    holders = {name for name, role in stack.status()["roles"].items() if password in psutil.Process(role["pid"]).environ().values()}
    assert holders == {"embedded-clickhouse", "worker-0", "worker-1"}


def test_topics_and_migrate_find_nothing_left_to_do(stack: Stack) -> None:
    """Both commands talk to the stack of the directory given, and say that all is done."""
    assert stack.telemetry("topics").stdout == "all topics are as they should be\n"
    assert stack.telemetry("migrate").stdout == "all migrations had been applied\n"


def test_second_up_names_the_pid(stack: Stack) -> None:
    """Exit 1 and one line with the pid of the supervisor, detached or not."""
    state = read_state(stack.data_dir)
    assert state is not None
    for arguments in (["--detach"], []):
        refused = stack.telemetry("up", "--ports", "auto", *arguments)
        assert refused.returncode == 1
        assert re.fullmatch(rf"telemetry: .*\bpid {state.supervisor.pid};.*\n", refused.stderr)


def test_killed_worker_comes_back(stack: Stack) -> None:
    """SIGKILL to a worker: it is restarted, counted, and the stack is ready again."""
    before = stack.status()["roles"]["worker-1"]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: stack.status()["state"] != "ready")
    until(lambda: stack.status()["state"] == "ready")
    after = stack.status()["roles"]["worker-1"]
    assert after["restarts"] == before["restarts"] + 1
    assert after["pid"] != before["pid"]


@pytest.mark.long
def test_state_survives_down_and_up_and_down_leaves_no_process(stack: Stack) -> None:
    """An event taken before `down` is there after the next `up`; in between no process of the stack lives."""
    event = {
        "event_id": "01930000-0000-7000-8000-000000000001",
        "event_type": "recipe_view",
        "schema_version": 1,
        "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
        "source": {"service": "test", "environment": "test"},
        "user_id": "u-1",
        "properties": {"recipe_id": "r-1"},
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{stack.status()['gateway']}/v1/events", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
    until(lambda: stack.select("SELECT count() FROM telemetry.events") == "1")
    state = read_state(stack.data_dir)
    assert state is not None
    began = time.monotonic()
    assert stack.telemetry("down").returncode == 0
    assert time.monotonic() - began < 10
    assert [process for process in (state.supervisor, *state.processes()) if Process.is_alive(process)] == []
    assert stack.status() == {"state": "stopped"}
    assert stack.up().returncode == 0
    assert stack.select("SELECT event_type, user_id FROM telemetry.events WHERE event_type != 'accepted_count'") == "recipe_view\tu-1"
