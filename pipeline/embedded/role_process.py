"""One process of the stack: started in a group of its own, restarted with backoff, ended on request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pipeline.embedded.plan import RoleSpec
from pipeline.embedded.stack_state import Process, RoleState

_BACKOFF_LIMIT_S = 30.0
_STEADY_AFTER_S = 60.0
_LOG_LIMIT_BYTES = 16 << 20
_TAIL_BYTES = 8192
_REASON = re.compile(r"telemetry(?: [a-z-]+)?: (.+)")


class Observer(Protocol):
    """Told as processes come and go; `RoleProcess.state()` is up to date by then."""

    def started(self, pid: int) -> None: ...

    def gone(self, pid: int) -> None: ...

    def ended(self, role: RoleProcess) -> None:
        """`role` ended by itself, and will be started again."""


def backoff_s(ends_in_a_row: int) -> float:
    """Wait before the next start: 1, 2, 4 … 30 s."""
    return min(_BACKOFF_LIMIT_S, 2.0 ** (ends_in_a_row - 1))


def last_line(log_file: Path, offset: int = 0) -> str:
    """The last line written after `offset` bytes that says why a command of ours ended, else that has text; '' when there is none."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(offset, log_file.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return ""
    said = [_plain(line.strip()) for line in lines if line.strip()]
    reasons = [match.group(1) for line in said if (match := _REASON.fullmatch(line))]  # the interpreter may say something after it
    return (reasons or said or [""])[-1]


def _plain(line: str) -> str:
    """What happened, of a structured line; any other as it is."""
    try:
        fields = json.loads(line) if line.startswith("{") else {}
    except ValueError:
        fields = {}
    return " ".join(str(fields[name]) for name in ("event", "error") if name in fields) or line


def rotated_size(log_file: Path) -> int:
    """Bytes in `log_file`, after a long one has been put aside."""
    size = log_file.stat().st_size if log_file.exists() else 0
    if size <= _LOG_LIMIT_BYTES:
        return size
    log_file.replace(log_file.with_suffix(".log.1"))
    return 0


async def spawn(command: Sequence[str], env: Mapping[str, str], cwd: Path, log_file: Path) -> asyncio.subprocess.Process:
    """Start `command` as the leader of a new session, its output appended to `log_file`."""
    with log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=cwd, start_new_session=True
        )


async def end(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """SIGTERM to the process, SIGKILL to what is left of its group when it has ended or `grace_s` is over."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


class RoleProcess:
    """Keeps one role running in `data_dir`, its output in `data_dir`/logs."""

    def __init__(self, spec: RoleSpec, data_dir: Path, observer: Observer) -> None:
        self.spec = spec
        self.log_file = data_dir / "logs" / f"{spec.name}.log"
        self.ends_in_a_row = 0
        self.exit_code: int | None = None
        self._restarts = 0
        self._data_dir = data_dir
        self._observer = observer
        self._process: asyncio.subprocess.Process | None = None
        self._identity: Process | None = None
        self._log_offset = 0
        self._not_spawned = ""

    def state(self) -> RoleState:
        return RoleState(self._identity, self._restarts, self.spec.ready, self.spec.url)

    def last_words(self) -> str:
        """The last line that its latest process wrote, or why there is no such process."""
        return self._not_spawned or last_line(self.log_file, self._log_offset)

    async def keep(self) -> None:
        """Start it and start it again whenever it ends, until cancelled; the process then still runs: `stop` it."""
        while True:
            began = time.monotonic()
            try:
                await self._run_once()
                self._not_spawned = ""
            except OSError as error:  # no memory for a process, no space for its log: it may pass
                self._not_spawned = f"it cannot be started: {error.strerror}"
            self.ends_in_a_row = 1 if time.monotonic() - began > _STEADY_AFTER_S else self.ends_in_a_row + 1
            self._observer.ended(self)
            await asyncio.sleep(backoff_s(self.ends_in_a_row))
            self._restarts += 1

    async def _run_once(self) -> None:
        self._log_offset = rotated_size(self.log_file)
        self._process = await spawn(self.spec.command, self.spec.env, self._data_dir, self.log_file)
        self._identity = Process.of(self._process.pid)
        self._observer.started(self._process.pid)
        self.exit_code = await self._process.wait()
        await self.stop(0)

    async def stop(self, grace_s: float) -> None:
        """End the process and what it started, if there is one; `keep` must have been cancelled, or starts it again."""
        if self._process is not None:
            await end(self._process, grace_s)
            pid, self._process, self._identity = self._process.pid, None, None
            self._observer.gone(pid)
