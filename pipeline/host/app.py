"""The host reporter's process, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket

import structlog

from pipeline.host.reporter import Reporter
from pipeline.host.usage import UsageMeter
from pipeline.runtime.clock import SystemClock, new_id
from pipeline.runtime.health import HealthServer
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Settings

log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Report until SIGTERM or SIGINT. Raises Stop when the address for its health cannot be had."""
    configure_logs("host", [])
    asyncio.run(_serve(settings))
    log.info("stopped")


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "host")
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    host = settings.host.name or socket.gethostname()
    meter = UsageMeter(settings.host.directory)
    reporter = Reporter(settings.kafka.bootstrap_servers, host, meter.read, SystemClock(), new_id)
    health = HealthServer(settings.health.host, settings.health.port, waiting_for=reporter.waiting_for)
    await health.start()
    tasks = {asyncio.create_task(reporter.run()), asyncio.create_task(stopped.wait())}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await health.stop()
