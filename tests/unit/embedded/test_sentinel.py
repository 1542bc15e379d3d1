from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.embedded.sentinel import Sentinel, end_groups, groups_left

_IGNORES_SIGTERM = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
_DOES_NOT = "import sys; print('up', flush=True); sys.stdin.read()"


@contextmanager
def process(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running process that leads a group."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        try:
            yield child
        finally:
            child.kill()


def test_groups_left_are_those_not_taken_back() -> None:
    """Lines are read to their end; a group that was forgotten is not ended."""
    assert groups_left(["+1\n", "+2\n", "-1\n", "+3\n", "-9\n"]) == {2, 3}


@pytest.mark.parametrize(("code", "ended_by"), [(_DOES_NOT, signal.SIGTERM), (_IGNORES_SIGTERM, signal.SIGKILL)])
def test_group_is_ended_kindly_then_not(code: str, ended_by: signal.Signals) -> None:
    """SIGTERM is enough for a willing process; one that ignores it is killed after the grace."""
    with process(code) as child:
        end_groups({child.pid}, grace_s=0.2)
        assert child.wait(10) == -ended_by


def test_group_that_is_gone_is_no_error() -> None:
    """A group that ended by itself is passed over."""
    with process(_DOES_NOT) as child:
        pass
    end_groups({child.pid}, grace_s=0.2)


def test_closing_ends_what_is_still_watched() -> None:
    """When the pipe closes, however it came to that, watched groups end and forgotten ones live on."""
    with process(_DOES_NOT) as watched, process(_DOES_NOT) as forgotten:
        sentinel = Sentinel()
        sentinel.watch(watched.pid)
        sentinel.watch(forgotten.pid)
        sentinel.forget(forgotten.pid)
        sentinel.close()
        assert watched.wait(10) == -signal.SIGTERM
        assert forgotten.poll() is None


def test_dead_sentinel_does_not_stop_the_supervisor() -> None:
    """Telling a sentinel that somebody killed is no error."""
    sentinel = Sentinel()
    subprocess.run([sys.executable, "-c", f"import os; os.kill({sentinel.pid}, 9)"], check=True)
    for _ in range(100):
        sentinel.watch(1)
        sentinel.forget(1)
    sentinel.close()


def test_sentinel_does_not_keep_the_supervisors_output_open() -> None:
    """Who reads the output of a supervisor sees its end when the supervisor closes it, though the sentinel lives on."""
    code = "import os, time; from pipeline.embedded.sentinel import Sentinel; s = Sentinel(); os.close(1); input(); s.close()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.read() == b""
        assert supervisor.poll() is None
        supervisor.communicate(b"\n", 10)
