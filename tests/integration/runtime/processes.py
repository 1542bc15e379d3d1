"""Worker processes that a test starts, kills, freezes and reads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.runtime.effects_worker import Plan

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "tests.integration.runtime.effects_worker")


@dataclass
class Process:
    running: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def stderr(self) -> str:
        return self.log_file.with_suffix(".err").read_text()

    def send(self, signal_number: signal.Signals) -> None:
        os.kill(self.running.pid, signal_number)

    async def exited(self, within_s: float = 15.0) -> tuple[int, float]:
        """Exit status, and the seconds it took from now."""
        began = time.monotonic()
        status = await asyncio.to_thread(self.running.wait, within_s)
        return status, time.monotonic() - began


@asynccontextmanager
async def worker(
    plan: Plan, directory: Path, name: str, *, command: Sequence[str] = COMMAND, environment: dict[str, str] | None = None, cwd: Path = ROOT
) -> AsyncIterator[Process]:
    """Start a worker; kill what is left of it at the end."""
    log_file = directory / f"{name}.log"
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {**os.environ, **plan.environment(), "PYTHONPATH": path, **(environment or {})}
    with log_file.open("ab") as log, log_file.with_suffix(".err").open("ab") as errors:
        running = subprocess.Popen(list(command), stdout=log, stderr=errors, env=env, cwd=cwd)
    try:
        yield Process(running, log_file)
    finally:
        if running.poll() is None:
            running.kill()
            running.send_signal(signal.SIGCONT)
        await asyncio.to_thread(running.wait)


def effects(plan: Plan) -> dict[int, dict[int, str]]:
    """Value by partition and offset. A torn last line of a killed worker is left out."""
    found: dict[int, dict[int, str]] = {}
    path = Path(plan.effects)
    for line in path.read_text().split("\n")[:-1] if path.exists() else []:
        partition, offset, value = line.split(" ")
        found.setdefault(int(partition), {})[int(offset)] = value
    return found


def effect_count(plan: Plan) -> int:
    return sum(len(offsets) for offsets in effects(plan).values())
