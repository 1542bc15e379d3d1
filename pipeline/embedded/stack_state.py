"""What runs on a data directory: who holds it, and which processes belong to it, written where other commands can read it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from pipeline.runtime.errors import Stop

STATE_FILE = "stack.json"
LOCK_FILE = "stack.lock"

_START_TIME_JITTER_S = 2.0  # the kernel's boot time moves by a second with its rounding


class Phase(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Process:
    """A process and not another one that got its number later: `started` is its start time in seconds since the machine's."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has `pid` now; None when there is none (a zombie has ended)."""
        try:
            found = psutil.Process(pid)
            # Since boot, because wall time may be set while the process lives.
            return None if found.status() == psutil.STATUS_ZOMBIE else cls(pid, found.create_time() - psutil.boot_time())
        except psutil.NoSuchProcess:
            return None

    def is_alive(self) -> bool:
        now = Process.of(self.pid)
        return now is not None and abs(now.started - self.started) < _START_TIME_JITTER_S

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it is still there."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill it and all that it started: each process of a stack, but a supervisor in the foreground, leads a group."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class RoleState:
    """`process` is None while the role waits to be restarted; `ready` is what `readiness.is_ready` asks."""

    process: Process | None
    restarts: int
    ready: str
    url: str | None


@dataclass(frozen=True, slots=True)
class StackState:
    """`helpers` are processes that are no roles: the sentinel and a step that is running."""

    supervisor: Process
    phase: Phase
    kafka: str
    clickhouse: str
    gateway: str
    console: str
    roles: dict[str, RoleState]
    helpers: list[Process] = field(default_factory=list)

    def processes(self) -> list[Process]:
        """All but the supervisor."""
        return [*(role.process for role in self.roles.values() if role.process is not None), *self.helpers]


def read_state(data_dir: Path) -> StackState | None:
    """The last state written to `data_dir`, None when there is none; its supervisor may be dead by now."""
    try:
        stored: dict[str, Any] = json.loads((data_dir / STATE_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    roles = {name: RoleState(**{**role, "process": _process(role["process"])}) for name, role in stored["roles"].items()}
    helpers = [Process(**helper) for helper in stored["helpers"]]
    supervisor = Process(**stored["supervisor"])
    return StackState(**{**stored, "supervisor": supervisor, "phase": Phase(stored["phase"]), "roles": roles, "helpers": helpers})


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the state: a reader sees the old one or the new one, never a part."""
    new = data_dir / f"{STATE_FILE}.new"
    new.write_text(json.dumps(asdict(state), indent=1), "utf-8")
    new.replace(data_dir / STATE_FILE)


def running_state(data_dir: Path) -> StackState | None:
    """The state when its supervisor is alive, else None."""
    state = read_state(data_dir)
    return state if state is not None and state.supervisor.is_alive() else None


def remove_state(data_dir: Path) -> None:
    (data_dir / STATE_FILE).unlink(missing_ok=True)


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` for this process; the kernel lets go of it however the process ends. Raises Stop naming the holder."""
    with (data_dir / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise Stop(f"a stack runs on {data_dir} already, pid {holder}; see `telemetry status`, stop it with `telemetry down`") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _process(stored: dict[str, Any] | None) -> Process | None:
    return None if stored is None else Process(**stored)
