"""The gateway's process: its web application, its life from start to SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from pipeline.gateway.access import Cors, WriteKeys, check_exposure
from pipeline.gateway.events import PATH, EventsApi, refusal
from pipeline.gateway.publish import BATCH_BYTES, Publisher
from pipeline.runtime.clock import Clock, NewId, SystemClock, new_id
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.health import add_health_routes
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.producer import start_producer
from pipeline.runtime.sentry import init_sentry
from pipeline.runtime.settings import Gateway, Settings
from schemas.topics import EVENTS

log = structlog.get_logger(__name__)

#: Longer than a request waits for Kafka, shorter than what `telemetry down` allows a role.
_FINISH_REQUESTS_S: Final = 5.5
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
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    init_sentry(settings, "gateway")
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    clock = SystemClock()
    connect = partial(
        start_producer, settings.kafka.bootstrap_servers, "nutricoach-gateway", compression="zstd", max_batch_bytes=BATCH_BYTES
    )
    publisher = Publisher(EVENTS.name, connect, clock)
    runner = await _listen(build_app(settings.gateway, publisher, clock, new_id), settings.gateway)
    publishing = asyncio.create_task(publisher.run())
    stopping = asyncio.create_task(stopped.wait())
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process: no collection need look at it again
    try:
        await asyncio.wait({publishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await runner.cleanup()
    finally:
        for task in (publishing, stopping):
            task.cancel()
        (outcome, _) = await asyncio.gather(publishing, stopping, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome
    log.info("stopped")


def build_app(settings: Gateway, publisher: Publisher, clock: Clock, new_id: NewId) -> web.Application:
    """The routes over `publisher`, which the caller runs."""
    app = web.Application(middlewares=[_refusals])
    api = EventsApi(keys=WriteKeys(settings.write_keys), cors=Cors(settings.cors_origins), publisher=publisher, clock=clock, new_id=new_id)
    app.router.add_post(PATH, api.post)
    app.router.add_route("OPTIONS", PATH, api.options)
    add_health_routes(app, waiting_for=publisher.waiting_for)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """What the router refuses is said the same way as what we refuse."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = refusal(error.status, "_".join(error.reason.lower().split()), f"{error.status} {error.reason}")
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


async def _listen(app: web.Application, settings: Gateway) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,  # a query may carry a write key
        auto_decompress=False,  # bounds are ours
        shutdown_timeout=_FINISH_REQUESTS_S,
        keepalive_timeout=_KEEPALIVE_S,
        lingering_time=_LINGER_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigurationError(
            f"the gateway cannot listen on {settings.host}:{settings.port} ({error.strerror}); set TELEMETRY_GATEWAY__HOST and __PORT"
        ) from error
    host, port = runner.addresses[0][:2]
    log.info("listening", url=f"http://{host}:{port}")
    return runner
