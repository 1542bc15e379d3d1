"""A gateway as its users run it: a process of its own, asked over HTTP, ended by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from pipeline.embedded.ports import free_port
from tests.contract.gateway.gateways import Client

ANSWERS_WITHIN_S = 30.0
ENDS_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """Its client, its process and what it has written."""

    client: Client
    process: asyncio.subprocess.Process
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    def peak_bytes(self) -> int:
        """The most memory it has had resident (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    async def exit_status(self) -> int:
        return await asyncio.wait_for(self.process.wait(), ENDS_WITHIN_S)


@asynccontextmanager
async def gateway_process(kafka: str, directory: Path, **settings: str) -> AsyncIterator[GatewayProcess]:
    """Runs `telemetry gateway` until the block ends; yields once it answers, ready or not; `WRITE_KEYS="a,b"` is a setting."""
    port, log_file = free_port(), directory / "gateway.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("TELEMETRY_")}
    env |= {f"TELEMETRY_GATEWAY__{name}": value for name, value in {"PORT": str(port), **settings}.items()}
    env |= {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": kafka, "PYTHONPATH": str(Path.cwd())}
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline.cli.main", "gateway", stdout=log, stderr=log, env=env, cwd=directory
        )
    try:
        async with aiohttp.ClientSession() as session:
            gateway = GatewayProcess(Client(f"http://127.0.0.1:{port}", session), process, log_file)
            await _answers(gateway)
            yield gateway
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def _answers(gateway: GatewayProcess) -> None:
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        while True:
            assert gateway.process.returncode is None, gateway.log
            try:
                await gateway.client.get("/healthz")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
            else:
                return
