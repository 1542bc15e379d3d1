"""One process of the stack under attack, and who starts it again when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from pipeline.embedded.readiness import is_ready
from pipeline.embedded.role_process import last_line
from pipeline.embedded.sentinel import Sentinel
from tests.chaos.faults import Order

READY_WITHIN_S: Final = 90.0
_RESTART_AFTER_S: Final = 0.5
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Exit:
    """A process that ended without anybody having told it to, or otherwise than it was told."""

    name: str
    pid: int
    code: int
    line: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}) ended by itself with {self.code}: {self.line}"


@dataclass(eq=False)
class Process:
    """Started in a group of its own; `keep` starts it again whenever it is gone, except while it is `held` down.

    Attributes:
        ready: the address that answers when it is ready (`pipeline.embedded.readiness`).
        exits: where those that nobody asked for are noted; `_told` has the exit codes that were asked for, by pid.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    ready: str
    sentinel: Sentinel
    exits: list[Exit]
    held: bool = False
    pid: int = 0
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _told: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def log(self) -> Path:
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _order_file(self) -> Path:
        return self.folder / "orders" / f"{self.name}-{self.starts}"

    def start(self) -> None:
        self.starts += 1
        env = {**os.environ, **self.env, "CHAOS_TRACES": str(self.folder / "traces"), "CHAOS_ORDER": str(self._order_file)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        self.pid = self._process.pid
        self.sentinel.watch(self.pid)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def frozen(self) -> bool:
        try:
            return self.alive() and psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals) -> None:
        """A signal, if it is still there to get one."""
        if self.alive() and self._process is not None:
            if number is signal.SIGTERM:
                self._told[self.pid] |= {0, -signal.SIGTERM}  # it had not begun to listen to signals
            elif number is signal.SIGKILL:
                self.expect_kill()
            self._process.send_signal(number)

    def order(self, order: Order) -> None:
        """Let it obey `order` when it comes to the place."""
        if order.action == "kill":
            self.expect_kill()
        self.write_order(str(order))

    def expect_kill(self) -> None:
        """It may die at a place where it was told to."""
        self._told[self.pid].add(-signal.SIGKILL)

    def write_order(self, text: str) -> None:
        """What it obeys when it comes to the place, whole or not at all."""
        written = self._order_file.with_suffix(".new")
        written.write_text(text, "utf-8")
        written.rename(self._order_file)

    def withdraw(self) -> None:
        """Take back an order that was not obeyed."""
        self._order_file.unlink(missing_ok=True)

    async def is_ready(self) -> bool:
        return self.alive() and await asyncio.to_thread(is_ready, self.ready)

    async def until_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """TimeoutError when it is not, with the last line of its log."""
        if not await until(self.is_ready, within_s):
            raise TimeoutError(f"{self.name} is not ready after {within_s:.0f} s: {last_line(self.log)}")

    async def ended(self, pid: int, within_s: float) -> bool:
        """Whether process `pid` of this name is gone in time."""

        return await until(lambda: self.pid != pid or not self.alive(), within_s)

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            if not self.held and not self.alive():
                self._note()
                await asyncio.sleep(_RESTART_AFTER_S)
                if not self.held:
                    self.start()
            await asyncio.sleep(_LOOK_S)

    def _note(self) -> None:
        if self._process is None:
            return
        self.sentinel.forget(self.pid)
        if (code := self._process.returncode) not in self._told[self.pid]:
            self.exits.append(Exit(self.name, self.pid, code, last_line(self.log)))

    def stop(self, within_s: float = 15.0) -> None:
        """End it for good."""
        self.held = True
        if self._process is None:
            return
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.sentinel.forget(self.pid)


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float) -> bool:
    """Whether `condition`, async or not, came true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return True
        await asyncio.sleep(_LOOK_S)
    return False
