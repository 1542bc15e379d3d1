"""The console's process: its web application, its life from start to SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from pipeline.console.commands import CommandSender
from pipeline.console.incidents import IncidentFeed
from pipeline.console.page import HEADERS, page
from pipeline.console.webhooks import MAX_BODY_BYTES, Webhooks
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.health import add_health_routes
from pipeline.runtime.logs import configure_logs, secrets_of
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Console, Settings
from pipeline.runtime.web_process import listen, refusals, stop_signals, tell_no_bad_requests, until_stopped

log = structlog.get_logger(__name__)

#: Longer than a webhook takes at most.
_FINISH_REQUESTS_S: Final = 3.0


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered. Raises ConfigurationError when the address cannot be had."""
    configure_logs("console", secrets_of(settings.console))
    tell_no_bad_requests()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "console")
    stopped = stop_signals()
    async with serving(settings, SystemClock()) as console:
        await until_stopped(stopped, console.running)
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
        url = await listen(runner, "console", settings.console.host, settings.console.port)
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

    app = web.Application(middlewares=[refusals()], client_max_size=MAX_BODY_BYTES)
    app.router.add_get("/", incidents)
    app.router.add_post("/webhooks/slack", webhooks.slack)
    app.router.add_post("/webhooks/pagerduty", webhooks.pagerduty)
    add_health_routes(app, waiting_for=lambda: sender.waiting_for() or feed.waiting_for())
    return app
