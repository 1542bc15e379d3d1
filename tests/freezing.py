"""The one way in which tests, attacks and benchmarks hold a process still."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.waiting import wait_until

_STOPS_WITHIN_S = 5.0
_STOPPED = {"T", "t", "Z", "X"}
"""States of a thread that runs no more: stopped, traced, ended; proc(5)."""


def freeze(pid: int) -> None:
    """SIGSTOP; returns when each of its threads has stopped.

    One thread takes the signal and tells the others. Until it has had a processor they go on: a broker answers requests that come after.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _states(pid) <= _STOPPED, _STOPS_WITHIN_S, f"process {pid} has stopped", every_s=0.001)


def _states(pid: int) -> set[str]:
    return {state for thread in Path(f"/proc/{pid}/task").iterdir() if (state := _state(thread))}


def _state(thread: Path) -> str:
    """Empty when it has ended meanwhile."""
    try:
        return (thread / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
