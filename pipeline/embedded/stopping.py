"""Takes down what runs on a data directory, and what a supervisor that died has left there."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from pipeline.embedded.stack_state import Process, StackState, read_state, remove_state

KILL_AFTER_S = 8.0
_GONE_WITHIN_S = 2.0


def stop_stack(data_dir: Path) -> bool:
    """Stop the stack on `data_dir`, kill what is left after 8 s; False when nothing ran there."""
    state = read_state(data_dir)
    if state is None:
        return False
    supervisor = state.supervisor
    ran = supervisor.is_alive()
    if ran:
        supervisor.send(signal.SIGTERM)
        if not _gone([supervisor], KILL_AFTER_S):
            state = read_state(data_dir) or state  # restarts may have gone on meanwhile
            supervisor.send(signal.SIGKILL)
    return _end_all(data_dir, state) or ran


def end_leftovers(data_dir: Path) -> None:
    """Kill what a supervisor that died left on `data_dir`; the caller holds the directory, so none is alive."""
    state = read_state(data_dir)
    if state is not None:
        _end_all(data_dir, state)


def _end_all(data_dir: Path, state: StackState) -> bool:
    left = [process for process in state.processes() if process.is_alive()]
    for process in left:
        process.kill_group()
    _gone([state.supervisor, *left], _GONE_WITHIN_S)
    remove_state(data_dir)
    return bool(left)


def _gone(processes: Sequence[Process], within_s: float) -> bool:
    """Wait until all have ended; False when some have not."""
    deadline = time.monotonic() + within_s
    for process in processes:
        if process.is_alive():
            try:
                psutil.Process(process.pid).wait(max(0.0, deadline - time.monotonic()))
            except psutil.NoSuchProcess:
                continue
            except psutil.TimeoutExpired:
                return False
    return True
