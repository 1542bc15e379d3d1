"""The console's process: its web application, its life from start to SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from pipeline.console.commands import CommandSender
from pipeline.console.incidents import IncidentFeed
from pipeline.console.page import HEADERS, page
from pipeline.console.webhooks import MAX_BODY_BYTES, Webhooks, refusal
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.health import add_health_routes
from pipeline.runtime.logs import configure_logs, secrets_of
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Console, Settings

log = structlog.get_logger(__name__)

#: Longer than a webhook takes at most.
_FINISH_REQUESTS_S: Final = 3.0


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered. Raises ConfigurationError when the address cannot be had."""
    configure_logs("console", secrets_of(settings.console))
    logging.getLogger("aiohttp.server").addFilter(_not_the_clients_fault)
    asyncio.run(_serve(settings))


def _not_the_clients_fault(record: logging.LogRecord) -> bool:
    """False for a request that is no HTTP: its error has a stack, quotes the request, and anybody can send as many as they like."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "console")
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with serving(settings, SystemClock()) as console:
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({*console.running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in console.running:
            if task.done():
                task.result()
    log.info("stopped")


@dataclass(frozen=True, slots=True)
class Serving:
    """A console that listens at `url`; a task of `running` ends only with the error that ends the console."""

    url: str
    running: frozenset[asyncio.Task[None]]


@asynccontextmanager
async def serving(settings: Settings, clock: Clock) -> AsyncIterator[Serving]:
    """Listen until the block ends; then requests in flight are answered before it is left.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    sender = CommandSender(settings.kafka.bootstrap_servers, clock)
    feed = IncidentFeed(settings.kafka.bootstrap_servers, clock)
    runner = web.AppRunner(
        build_app(settings.console, sender, feed, clock),
        access_log=None,
        auto_decompress=False,  # signatures are over what was sent
        shutdown_timeout=_FINISH_REQUESTS_S,
    )
    await runner.setup()
    tasks: frozenset[asyncio.Task[None]] = frozenset()
    try:
        url = await _listen(runner, settings.console)
        tasks = frozenset({asyncio.create_task(sender.run()), asyncio.create_task(feed.run())})
        yield Serving(url, tasks)
    finally:
        await runner.cleanup()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def build_app(settings: Console, sender: CommandSender, feed: IncidentFeed, clock: Clock) -> web.Application:
    """The routes over `sender` and `feed`, which the caller runs."""
    webhooks = Webhooks(settings, sender, feed, clock)

    async def incidents(request: web.Request) -> web.Response:
        reason = feed.waiting_for()
        document = page(feed.incidents.open.values(), reason, clock.now_ms())
        return web.Response(status=200 if reason is None else 503, text=document, content_type="text/html", headers=HEADERS)

    app = web.Application(middlewares=[_refusals], client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/", incidents)
    app.router.add_post("/webhooks/slack", webhooks.slack)
    app.router.add_post("/webhooks/pagerduty", webhooks.pagerduty)
    add_health_routes(app, waiting_for=lambda: sender.waiting_for() or feed.waiting_for())
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the router refuses is said the same way as what we refuse."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = refusal(error.status, "_".join(error.reason.lower().split()), f"{error.status} {error.reason}")
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


async def _listen(runner: web.AppRunner, settings: Console) -> str:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        reason = f"the console cannot listen on {settings.host}:{settings.port} ({error.strerror})"
        raise ConfigurationError(f"{reason}; set TELEMETRY_CONSOLE__HOST and TELEMETRY_CONSOLE__PORT") from error
    host, port = runner.addresses[0][:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("listening", url=url)
    return url
