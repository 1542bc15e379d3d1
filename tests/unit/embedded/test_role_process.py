from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from pipeline.embedded.plan import RoleSpec
from pipeline.embedded.role_process import RoleProcess, backoff_s, end, last_line, rotated_size, spawn


def test_backoff_doubles_up_to_half_a_minute() -> None:
    """1, 2, 4, 8, 16 and then 30 seconds."""
    assert [backoff_s(ends) for ends in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("text", "offset", "line"),
    [
        ("one\ntwo\n", 0, "two"),
        ("one\ntwo\n\n  \n", 0, "two"),
        ("one\n", 4, ""),
        ("one\ntwo", 4, "two"),
        ("x" * 20_000 + "\nend\n", 0, "end"),
        ("", 0, ""),
        ("telemetry: no such rule\n/x.py:1: RuntimeWarning: never awaited\n", 0, "no such rule"),
        ('{"event":"cannot read","error":"no such topic","level":"error"}\n', 0, "cannot read no such topic"),
        ('{"half": ', 0, '{"half":'),
        ('telemetry worker: the log is gone\n{"event":"closing"}\n', 0, "the log is gone"),
    ],
)
def test_last_line_is_the_last_with_text_since_the_start(tmp_path: Path, text: str, offset: int, line: str) -> None:
    """Blank lines do not count, nor what an earlier process wrote; a long log is read from its end; our own line comes first."""
    log = tmp_path / "role.log"
    log.write_text(text)
    assert last_line(log, offset) == line


def test_no_log_has_no_last_line(tmp_path: Path) -> None:
    """A role that was never started said nothing."""
    assert last_line(tmp_path / "role.log") == ""


def test_long_log_is_put_aside(tmp_path: Path) -> None:
    """A log over 16 MiB becomes role.log.1 in place of the one before; a shorter one goes on."""
    log = tmp_path / "role.log"
    assert rotated_size(log) == 0
    log.write_bytes(b"x" * 100)
    assert rotated_size(log) == 100
    log.write_bytes(b"y" * ((16 << 20) + 1))
    assert rotated_size(log) == 0
    assert not log.exists()
    assert (tmp_path / "role.log.1").read_bytes().startswith(b"y")


class Told:
    """Writes down what an observer is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.ended_once = asyncio.Event()

    def started(self, pid: int) -> None:
        self.events.append("started")

    def gone(self, pid: int) -> None:
        self.events.append("gone")

    def ended(self, role: RoleProcess) -> None:
        self.events.append("ended")
        self.ended_once.set()


async def test_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """No process, no crash of the supervisor: it counts as an end, and its last words say why."""
    (tmp_path / "logs").mkdir()
    told = Told()
    role = RoleProcess(RoleSpec("worker-0", (str(tmp_path / "absent"),), {}, "http://127.0.0.1:1/"), tmp_path, told)
    keeping = asyncio.create_task(role.keep())
    await asyncio.wait_for(told.ended_once.wait(), 10)
    keeping.cancel()
    assert told.events == ["ended"]
    assert role.last_words() == "it cannot be started: No such file or directory"
    assert role.state().process is None


async def test_end_is_the_processs_own_when_it_is_willing(tmp_path: Path) -> None:
    """SIGTERM comes first: a process that handles it ends with the exit code it chose."""
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    log = tmp_path / "log"
    process = await spawn([sys.executable, "-c", code], {}, tmp_path, log)
    async with asyncio.timeout(10):
        while last_line(log) != "up":
            await asyncio.sleep(0.01)
    await end(process, 10)
    assert process.returncode == 7
