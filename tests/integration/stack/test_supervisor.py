from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.embedded.ports import free_port
from pipeline.embedded.readiness import is_ready
from pipeline.embedded.stack_state import STATE_FILE, Process, read_state
from pipeline.embedded.status import status
from pipeline.embedded.stopping import stop_stack
from tests.waiting import wait_until

HERE = Path(__file__).parent
PATIENCE_S = 20.0

Plan = dict[str, list[dict[str, Any]]]


def role(name: str, *arguments: str) -> dict[str, Any]:
    port = free_port()
    command = [sys.executable, str(HERE / "stand_in.py"), str(port), *arguments]
    return {"name": name, "command": command, "ready": f"http://127.0.0.1:{port}/readyz", "url": f"http://127.0.0.1:{port}"}


def step(name: str, after: str, code: str) -> dict[str, Any]:
    return {"name": name, "after": after, "command": [sys.executable, "-c", code]}


def plan(roles: list[dict[str, Any]], steps: list[dict[str, Any]] | None = None) -> Plan:
    return {"servers": [role("server")], "steps": steps or [], "roles": roles}


@contextmanager
def supervised(data_dir: Path, given: Plan) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "supervise.py"), str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        try:
            yield process
        finally:
            stop_stack(data_dir)
            process.kill()


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """What it says up to the line `last`, or to its end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if lines[-1] == last:
            break
    return lines


def until(condition: Callable[[], bool]) -> None:
    wait_until(condition, PATIENCE_S, "it came to pass", 0.02)


def processes_of(data_dir: Path) -> list[Process]:
    state = read_state(data_dir)
    assert state is not None
    return state.processes()


def members_of_sessions(leaders: list[Process]) -> list[int]:
    """Every living process of the sessions that `leaders` lead."""
    sessions = {leader.pid for leader in leaders}
    return [process.pid for process in psutil.process_iter() if _session(process) in sessions]


def _session(process: psutil.Process) -> int:
    try:
        return -1 if process.status() == psutil.STATUS_ZOMBIE else os.getsid(process.pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return -1


def test_servers_then_steps_then_roles(tmp_path: Path) -> None:
    """Roles start when every server is ready and its steps have ended."""
    marker = tmp_path / "step-ran"
    steps = [step("topics", "server", f"open({str(marker)!r}, 'w').close()")]
    waits = {
        **role("gateway"),
        "command": [sys.executable, "-c", f"import os; print('step ran', os.path.exists({str(marker)!r}), flush=True)"],
    }
    with supervised(tmp_path, plan([waits], steps)) as process:
        said = lines_until(process, "")
    assert [line.partition(" ")[0] for line in said[:2]] == ["server", "topics"]
    assert "step ran True" in said[-1]


def test_status_shows_each_role_with_its_process(tmp_path: Path) -> None:
    """A stack that is up is ready, with addresses, and pid, restarts and url of each role."""
    given = plan([role("gateway"), role("worker-0")])
    with supervised(tmp_path, given) as process:
        lines_until(process, "ready")
        answer = status(tmp_path)
        commands = {name: psutil.Process(row["pid"]).cmdline() for name, row in answer["roles"].items()}
    expected = {spec["name"]: spec for spec in given["servers"] + given["roles"]}
    assert answer["state"] == "ready"
    assert (answer["kafka"], answer["clickhouse"], answer["gateway"], answer["console"]) == (
        "127.0.0.1:1",
        "http://127.0.0.1:2",
        "http://127.0.0.1:3",
        "http://127.0.0.1:4",
    )
    assert commands == {name: spec["command"] for name, spec in expected.items()}
    for name, row in answer["roles"].items():
        assert {"state": "ready", "restarts": 0, "url": expected[name]["url"]}.items() <= row.items()


def test_killed_role_is_restarted_and_counted(tmp_path: Path) -> None:
    """A role that is killed makes the stack degraded, comes back after a second as another process, and counts one restart."""
    with supervised(tmp_path, plan([role("worker-0")])) as process:
        lines_until(process, "ready")
        before = status(tmp_path)["roles"]["worker-0"]
        os.kill(before["pid"], signal.SIGKILL)
        killed_at = time.monotonic()
        until(lambda: status(tmp_path)["state"] == "degraded")
        until(lambda: status(tmp_path)["state"] == "ready")
        took_s = time.monotonic() - killed_at
        after = status(tmp_path)["roles"]["worker-0"]
    assert after["pid"] != before["pid"]
    assert after["restarts"] == 1
    assert took_s >= 1.0


def test_state_that_cannot_be_written_does_not_stop_the_stack(tmp_path: Path) -> None:
    """While the state cannot be written (a full disk) roles go on and are restarted; when it can, it is caught up."""
    with supervised(tmp_path, plan([role("worker-0")])) as process:
        lines_until(process, "ready")
        before = status(tmp_path)["roles"]["worker-0"]
        in_the_way = tmp_path / f"{STATE_FILE}.new"
        in_the_way.mkdir()
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: not psutil.pid_exists(before["pid"]))
        until(lambda: is_ready(f"{before['url']}/readyz"))
        assert status(tmp_path)["roles"]["worker-0"]["restarts"] == 0
        in_the_way.rmdir()
        until(lambda: status(tmp_path)["state"] == "ready")
        assert status(tmp_path)["roles"]["worker-0"]["restarts"] == 1


def test_role_that_keeps_dying_ends_the_start(tmp_path: Path) -> None:
    """A role that dies again and again before it is ready ends the start: exit 1, its last line told, nothing left running."""
    with supervised(tmp_path, plan([role("gateway"), role("alerter", "die: the rules cannot be read")])) as process:
        until(lambda: (tmp_path / STATE_FILE).exists())
        said = lines_until(process, "ready")
        assert process.wait(PATIENCE_S) == 1
    assert said[-1].startswith("alerter does not start: die: the rules cannot be read")
    assert not (tmp_path / STATE_FILE).exists()


def test_role_that_refuses_its_configuration_ends_the_start_at_once(tmp_path: Path) -> None:
    """Exit code 2 means that a restart cannot help, so there is none."""
    with supervised(tmp_path, plan([role("alerter", "refuse: not a setting")])) as process:
        said = lines_until(process, "ready")
    log = (tmp_path / "logs" / "alerter.log").read_text()
    assert said[-1].startswith("alerter does not start: refuse: not a setting")
    assert log.count("refuse") == 1


def test_failed_step_ends_the_start(tmp_path: Path) -> None:
    """A step that ends with an error ends the start with the step's last line."""
    failing = step("migrate", "server", "import sys; sys.exit('table t is not ours')")
    with supervised(tmp_path, plan([role("gateway")], [failing])) as process:
        said = lines_until(process, "ready")
        assert process.wait(PATIENCE_S) == 1
    assert said[-1].startswith("migrate failed: table t is not ours")


def test_second_up_is_refused_by_pid(tmp_path: Path) -> None:
    """Who starts a stack on a directory in use is told the pid that holds it, and the first goes on."""
    with supervised(tmp_path, plan([role("gateway")])) as first:
        lines_until(first, "ready")
        with subprocess.Popen(
            [sys.executable, str(HERE / "supervise.py"), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as second:
            said, _ = second.communicate(json.dumps(plan([role("gateway")])), PATIENCE_S)
        assert second.returncode == 1
        assert f"pid {first.pid};" in said
        assert status(tmp_path)["state"] == "ready"


@pytest.mark.parametrize("stubborn", [False, True], ids=["willing", "ignores SIGTERM and has a child that does"])
def test_down_leaves_no_process(tmp_path: Path, stubborn: bool) -> None:
    """After down no process of any of the stack's sessions is left, within ten seconds, however unwilling it was."""
    arguments = ["hello", "stubborn"] if stubborn else []
    with supervised(tmp_path, plan([role("worker-0", *arguments)])) as process:
        lines_until(process, "ready")
        leaders = [*processes_of(tmp_path), Process(process.pid, 0.0)]
        assert len(members_of_sessions(leaders)) == (5 if stubborn else 4)  # supervisor, sentinel, server, worker, its child
        began = time.monotonic()
        assert stop_stack(tmp_path)
        assert time.monotonic() - began < 10
        assert process.wait(PATIENCE_S) == 0
        assert members_of_sessions(leaders) == []
    assert status(tmp_path) == {"state": "stopped"}
    assert not stop_stack(tmp_path)


def test_roles_end_before_servers(tmp_path: Path) -> None:
    """On the way down a role still finds its server: it drains into it."""
    given = plan([role("worker-0")])
    address = given["servers"][0]["url"]
    given["roles"][0]["command"] = [sys.executable, str(HERE / "draining.py"), given["roles"][0]["url"], address]
    with supervised(tmp_path, given) as process:
        lines_until(process, "ready")
        stop_stack(tmp_path)
    assert (tmp_path / "logs" / "worker-0.log").read_text().splitlines()[-1] == "server answered 200"


def test_supervisor_killed_takes_its_processes_along(tmp_path: Path) -> None:
    """When the supervisor gets SIGKILL, what it started ends too, and status says stopped."""
    with supervised(tmp_path, plan([role("worker-0")])) as process:
        lines_until(process, "ready")
        leaders = processes_of(tmp_path)
        process.kill()
        until(lambda: members_of_sessions(leaders) == [])
        assert status(tmp_path) == {"state": "stopped"}


def test_up_after_a_crash_ends_what_was_left(tmp_path: Path) -> None:
    """What outlived a dead supervisor and its sentinel is ended before a new stack starts; the new one is not confused by it."""
    with supervised(tmp_path, plan([role("worker-0")])) as process:
        lines_until(process, "ready")
        state = read_state(tmp_path)
        assert state is not None
        left = [row.process for row in state.roles.values() if row.process is not None]
        os.kill(state.helpers[0].pid, signal.SIGKILL)
        process.kill()
        process.wait()
        assert len(members_of_sessions(left)) == 2
        with supervised(tmp_path, plan([role("worker-0")])) as again:
            lines_until(again, "ready")
            assert members_of_sessions(left) == []
            assert status(tmp_path)["state"] == "ready"
