from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.embedded.stack_state import (
    STATE_FILE,
    Phase,
    Process,
    RoleState,
    StackState,
    held,
    read_state,
    remove_state,
    running_state,
    write_state,
)
from pipeline.runtime.errors import Stop


def own() -> Process:
    process = Process.of(os.getpid())
    assert process is not None
    return process


def state(supervisor: Process) -> StackState:
    roles = {
        "worker-0": RoleState(Process(7, 1.5), 2, "http://127.0.0.1:8110/readyz", "http://127.0.0.1:8110"),
        "embedded-kafka": RoleState(None, 0, "kafka://127.0.0.1:9092", None),
    }
    return StackState(supervisor, Phase.RUNNING, "127.0.0.1:9092", "http://c", "http://g", "http://k", roles, [Process(8, 2.5)])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A state comes back as it was, and nothing but it is in the directory."""
    write_state(tmp_path, state(own()))
    assert read_state(tmp_path) == state(own())
    assert [file.name for file in tmp_path.iterdir()] == [STATE_FILE]


def test_processes_are_all_but_the_supervisor(tmp_path: Path) -> None:
    """Roles that wait for a restart have no process; helpers count."""
    assert state(own()).processes() == [Process(7, 1.5), Process(8, 2.5)]


def test_no_state_is_none(tmp_path: Path) -> None:
    """A directory without a stack has no state, and removing none is fine."""
    remove_state(tmp_path)
    assert read_state(tmp_path) is None
    assert running_state(tmp_path) is None


def test_living_supervisor_runs(tmp_path: Path) -> None:
    """A state whose supervisor lives is a running stack."""
    write_state(tmp_path, state(own()))
    assert running_state(tmp_path) == state(own())


def test_pid_of_another_process_is_stale(tmp_path: Path) -> None:
    """A pid that now belongs to a process that started at another time is not the supervisor."""
    write_state(tmp_path, state(replace(own(), started=own().started - 60)))
    assert running_state(tmp_path) is None


def test_ended_process_is_not_alive() -> None:
    """A process that has ended, and a zombie, are gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        assert process.is_alive()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
        assert not process.is_alive()
    assert not process.is_alive()
    process.kill_group()  # of nobody: no harm


def test_interrupted_write_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half-way (a full disk) leaves the state that was there readable."""
    write_state(tmp_path, state(own()))

    def half(path: Path, text: str, encoding: str) -> int:
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", half)
        with pytest.raises(OSError, match="No space left"):
            write_state(tmp_path, replace(state(own()), kafka="other"))
    assert read_state(tmp_path) == state(own())
    assert json.loads((tmp_path / STATE_FILE).read_text())["kafka"] == "127.0.0.1:9092"


def test_directory_is_held_by_one(tmp_path: Path) -> None:
    """Who comes second is told the pid of the first; when the first lets go, it is free."""
    with held(tmp_path), pytest.raises(Stop, match=rf"pid {os.getpid()};"), held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The kernel lets go of the directory when its holder is killed."""
    code = """if True:
        import pathlib, sys
        from pipeline.embedded.stack_state import held
        with held(pathlib.Path(sys.argv[1])):
            print("held", flush=True)
            input()
    """
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Stop, match=f"pid {holder.pid};"), held(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with held(tmp_path):
            pass
