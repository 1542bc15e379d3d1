"""Ends the processes of a stack whose supervisor is gone.

The supervisor tells it of each process group over a pipe, which the kernel closes however the supervisor ends, SIGKILL included.
PR_SET_PDEATHSIG would need a wrapper round every process, reaches no grandchildren and exists on Linux only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

_GRACE_S = 3.0
_ENDS_WITHIN_S = 2 * _GRACE_S


class Sentinel:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", __name__]
        # Not our output: who reads it would wait for the sentinel to close it, too.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, text=True)
        self.pid = self._process.pid

    def watch(self, pid: int) -> None:
        """End the group that `pid` leads when this process is gone."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        self._tell(f"-{pid}\n")

    def close(self) -> None:
        """Let it end what is still watched, and itself."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(_ENDS_WITHIN_S)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # Somebody killed the sentinel: the next `up` or `down` still finds what is left in the state.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()


def groups_left(lines: Iterable[str]) -> set[int]:
    """Read `+pid` and `-pid` until the pipe closes; the groups that were not taken back."""
    groups: set[int] = set()
    for line in lines:
        pid = int(line[1:])
        if line.startswith("+"):
            groups.add(pid)
        else:
            groups.discard(pid)
    return groups


def end_groups(groups: Iterable[int], grace_s: float = _GRACE_S) -> None:
    """SIGTERM, and SIGKILL for what is still there after the grace."""
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)  # they are not our children: nothing to wait on
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether the group was there to get it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_groups(groups_left(sys.stdin))
