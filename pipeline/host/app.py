"""The host reporter's process, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import socket

import structlog

from pipeline.host.reporter import Reporter
from pipeline.host.usage import UsageMeter
from pipeline.runtime.clock import SystemClock, new_id
from pipeline.runtime.health import HealthServer
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Settings
from pipeline.runtime.web_process import stop_signals, until_stopped

log = structlog.get_logger(__name__)


def main(settings: Settings) -> None:
    """Report until SIGTERM or SIGINT. Raises Stop when the address for its health cannot be had."""
    configure_logs("host", [])
    asyncio.run(_serve(settings))
    log.info("stopped")


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "host")
    stopped = stop_signals()
    host = settings.host.name or socket.gethostname()
    meter = UsageMeter(settings.host.directory)
    reporter = Reporter(settings.kafka.bootstrap_servers, host, meter.read, SystemClock(), new_id)
    health = HealthServer(settings.health.host, settings.health.port, waiting_for=reporter.waiting_for)
    await health.start()
    reporting = asyncio.create_task(reporter.run())
    try:
        await until_stopped(stopped, [reporting])
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
        await health.stop()
