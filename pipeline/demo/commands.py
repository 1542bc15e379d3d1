"""Runs commands of `telemetry`, as a person would type them, beside the demo."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_TELEMETRY = (sys.executable, "-P", "-m", "pipeline.cli.main")
_ENDS_WITHIN_S = 5.0


@asynccontextmanager
async def running(arguments: Sequence[str], data_dir: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`telemetry ARGUMENTS --data-dir DATA_DIR`, its output in pipes; it is interrupted if it still runs when the block ends."""
    pipe = asyncio.subprocess.PIPE
    command = (*_TELEMETRY, *arguments, "--data-dir", str(data_dir))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.communicate(), _ENDS_WITHIN_S)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(arguments: Sequence[str], data_dir: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `telemetry ARGUMENTS --data-dir DATA_DIR`."""
    async with running(arguments, data_dir) as process:
        out, err = await process.communicate()
    assert process.returncode is not None, "communicate returns when it has ended"
    return process.returncode, out.decode("utf-8", "replace").strip(), err.decode("utf-8", "replace").strip()
