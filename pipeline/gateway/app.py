"""The gateway's process: its web application, its life from start to SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from aiohttp import HttpVersion11, web

from pipeline.gateway import limits
from pipeline.gateway.access import Cors, WriteKeys, check_exposure
from pipeline.gateway.connections import Connections
from pipeline.gateway.events import PATH, EventsApi, refusal
from pipeline.gateway.publish import BATCH_BYTES, Publisher
from pipeline.runtime.clock import Clock, NewId, SystemClock, new_id
from pipeline.runtime.health import add_health_routes
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.producer import start_producer
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Gateway, Settings
from pipeline.runtime.web_process import listen, refusals, stop_signals, tell_no_bad_requests, until_stopped
from schemas.topics import EVENTS

log = structlog.get_logger(__name__)

#: Longer than a request waits for Kafka, shorter than what `telemetry down` allows a role.
_FINISH_REQUESTS_S: Final = 5.5
_FINISH_ANSWERS_S: Final = 0.5
_KEEPALIVE_S: Final = 75.0
_LINGER_S: Final = 1.0
_BACKLOG: Final = 1_024


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then no new connections, requests in flight are answered, what Kafka has not is refused.

    Raises:
        ConfigurationError: open to the network without write keys, the address cannot be had, the topic has not the right partitions.
    """
    check_exposure(settings.gateway)
    configure_logs("gateway", [key.get_secret_value() for key in settings.gateway.write_keys])
    tell_no_bad_requests()
    _open_files_for(2 * limits.MAX_CONNECTIONS)
    asyncio.run(_serve(settings))


def _open_files_for(connections: int) -> None:
    """As far as this process may: out of files, it could not even accept the connection it would close."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections if hard == resource.RLIM_INFINITY else min(connections, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "gateway")
    stopped = stop_signals()
    async with serving(settings, SystemClock(), new_id) as gateway:
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: no collection need look at it again
        await until_stopped(stopped, [gateway.publishing])
    log.info("stopped")


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway that listens at `url`; `publishing` ends only with the error that ends the gateway."""

    url: str
    publisher: Publisher
    publishing: asyncio.Task[None]


@asynccontextmanager
async def serving(settings: Settings, clock: Clock, new_id: NewId) -> AsyncIterator[Serving]:
    """Listen and publish until the block ends; then requests in flight are answered before it is left.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    connect = partial(
        start_producer, settings.kafka.bootstrap_servers, "nutricoach-gateway", compression="zstd", max_batch_bytes=BATCH_BYTES
    )
    publisher = Publisher(EVENTS.name, connect, clock, new_id)
    connections = Connections(clock)
    runner = _runner(build_app(settings.gateway, publisher, connections, clock, new_id))
    await runner.setup()
    tasks: list[asyncio.Task[None]] = []
    try:
        url = await listen(runner, "gateway", settings.gateway.host, settings.gateway.port, backlog=_BACKLOG)
        tasks.append(asyncio.create_task(publisher.run()))
        tasks.append(asyncio.create_task(connections.run(lambda: runner.server.connections if runner.server else [])))
        yield Serving(url, publisher, tasks[0])
    finally:
        for site in list(runner.sites):
            await site.stop()
        await connections.drain(_FINISH_REQUESTS_S)
        await runner.cleanup()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def build_app(settings: Gateway, publisher: Publisher, connections: Connections, clock: Clock, new_id: NewId) -> web.Application:
    """The routes over `publisher` and `connections`, which the caller runs."""
    app = web.Application(middlewares=[connections.middleware(), refusals(refusal)])
    api = EventsApi(keys=WriteKeys(settings.write_keys), cors=Cors(settings.cors_origins), publisher=publisher, clock=clock, new_id=new_id)
    app.router.add_post(PATH, api.post, expect_handler=_expect)
    app.router.add_route("OPTIONS", PATH, api.options, expect_handler=_expect)
    add_health_routes(app, waiting_for=publisher.waiting_for)
    return app


async def _expect(request: web.Request) -> None:
    """Ask for the body where that is waited for; aiohttp fails, and not in JSON, on an expectation that it does not know."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(
        app,
        access_log=None,  # a query may carry a write key
        auto_decompress=False,  # bounds are ours
        shutdown_timeout=_FINISH_ANSWERS_S,
        keepalive_timeout=_KEEPALIVE_S,
        lingering_time=_LINGER_S,
    )
