from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.embedded.stack_state import Phase, Process, RoleState
from pipeline.embedded.status import Condition, RoleStatus, role_status, stack_condition, status


def living() -> Process:
    process = Process.of(os.getpid())
    assert process is not None
    return process


@pytest.mark.parametrize(
    ("age_s", "answers", "expected"),
    [(1, True, "ready"), (1, False, "starting"), (29, False, "starting"), (31, False, "degraded"), (3600, True, "ready")],
)
def test_living_role_is_what_it_says(age_s: float, answers: bool, expected: str) -> None:
    """Ready when it says so; when it does not, starting for half a minute, then degraded."""
    process = living()
    role = role_status(RoleState(process, 3, "http://127.0.0.1:1/readyz", "http://127.0.0.1:1"), answers, process.started + age_s)
    assert role == RoleStatus(process.pid, Condition(expected), 3, "http://127.0.0.1:1")


@pytest.mark.parametrize("process", [None, "another"], ids=["waits to be restarted", "pid of another process"])
def test_role_without_process_is_stopped(process: str | None) -> None:
    """No process, no pid, whatever answers on its port."""
    gone = replace(living(), started=living().started - 60) if process else None
    role = role_status(RoleState(gone, 1, "http://127.0.0.1:1/readyz", None), True, living().started)
    assert (role.pid, role.state) == (None, Condition.STOPPED)


@pytest.mark.parametrize(
    ("phase", "states", "expected"),
    [
        (Phase.STARTING, ["ready", "ready"], "starting"),
        (Phase.RUNNING, ["ready", "ready"], "ready"),
        (Phase.RUNNING, ["ready", "starting"], "degraded"),
        (Phase.RUNNING, ["stopped", "ready"], "degraded"),
        (Phase.STOPPING, ["ready", "ready"], "degraded"),
    ],
)
def test_stack_is_ready_only_when_every_role_is(phase: Phase, states: list[str], expected: str) -> None:
    """One role that is not ready makes a running stack degraded."""
    roles = {str(number): RoleStatus(1, Condition(state), 0, None) for number, state in enumerate(states)}
    assert stack_condition(phase, roles) == expected


def test_nothing_running_is_stopped_and_nothing_else(tmp_path: Path) -> None:
    """The whole answer is {"state": "stopped"}."""
    assert status(tmp_path) == {"state": "stopped"}
