"""What the processes with a web application have in common: where they listen, how they refuse, when they end."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
from collections.abc import Callable, Collection, Mapping
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from pipeline.runtime.errors import ConfigurationError

log = structlog.get_logger(__name__)


def tell_no_bad_requests() -> None:
    """Keep what is no HTTP out of the log: its error has a stack, quotes the request, and anybody can send as many as they like."""
    logging.getLogger("aiohttp.server").addFilter(_not_the_clients_fault)


def _not_the_clients_fault(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def stop_signals() -> asyncio.Event:
    """Set once the process is asked to end, by SIGTERM or SIGINT, from now on; of the running loop."""
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    return stopped


async def until_stopped(stopped: asyncio.Event, running: Collection[asyncio.Task[None]]) -> None:
    """Return once `stopped` is set; raises the error of a task of `running` that ends before."""
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for task in running:
        if task.done():
            task.result()


async def listen(runner: web.AppRunner, role: str, host: str, port: int, *, backlog: int = 128) -> str:
    """Serve on `host`:`port`, of the settings of `role`; the URL, with the port that was taken where `port` is 0.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    try:
        await web.TCPSite(runner, host, port, backlog=backlog).start()
    except OSError as error:
        reason = f"the {role} cannot listen on {host}:{port} ({error.strerror})"
        settings = f"TELEMETRY_{role.upper()}__HOST and TELEMETRY_{role.upper()}__PORT"
        raise ConfigurationError(f"{reason}; set {settings}") from error
    address, taken = runner.addresses[0][:2]
    url = f"http://[{address}]:{taken}" if ":" in address else f"http://{address}:{taken}"
    log.info("listening", url=url)
    return url


def json_answer(status: int, document: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """`document` as the body."""
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json", headers=headers)


def refusal(
    status: int, code: str, message: str, *, retry_after_s: float | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An answer that says no: `{"error", "message"}`, with Retry-After in whole seconds where the sender should try again."""
    response = json_answer(status, {"error": code, "message": message}, headers)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    return response


def refusals(refuse: Callable[[int, str, str], web.Response] = refusal) -> Middleware:
    """What the router refuses is said by `refuse`, the same way as what the application refuses."""

    @web.middleware
    async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            response = refuse(error.status, "_".join(error.reason.lower().split()), f"{error.status} {error.reason}")
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response

    return refusing
