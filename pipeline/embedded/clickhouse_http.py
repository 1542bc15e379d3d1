"""The embedded ClickHouse: the chDB engine behind the ClickHouse HTTP protocol, in a process of its own.

`python -m pipeline.embedded.clickhouse_http --path DIR --port N`; the writer is named by TELEMETRY_CLICKHOUSE__USER and __PASSWORD.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import structlog
from aiohttp import web

from pipeline.embedded.clickhouse_app import ClickHouseApp
from pipeline.embedded.engine import Engine
from pipeline.embedded.http_requests import Writer
from pipeline.runtime.errors import ConfigurationError, Stop
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.settings import load_settings

log = structlog.get_logger(__name__)

MAX_REQUEST_LINE_BYTES = 100 << 10
_KEEPALIVE_S = 300.0  # longer than any client keeps an idle connection, so that it is never the server that closes one in use
_HANDLERS_S, _ENGINE_S = 0.5, 2.0  # how long a stop waits


def command(path: Path, port: int) -> list[str]:
    """The argv of this server; the caller adds the writer's two settings to its environment and waits for `/ping`."""
    return [sys.executable, "-m", "pipeline.embedded.clickhouse_http", "--path", str(path), "--port", str(port)]


async def serve(path: Path, listener: socket.socket, writer: Writer | None) -> None:
    """Serve on `listener` until SIGTERM or SIGINT. Raises Stop with one line when the directory cannot be had."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    engine = await asyncio.to_thread(Engine, path)
    app = ClickHouseApp(engine, writer)
    runner = web.AppRunner(
        app.application(),
        access_log=None,
        handler_cancellation=True,  # a client that goes away takes its query with it
        auto_decompress=False,  # of several frames aiohttp would read the first
        keepalive_timeout=_KEEPALIVE_S,
        max_line_size=MAX_REQUEST_LINE_BYTES,
        max_field_size=MAX_REQUEST_LINE_BYTES,
        shutdown_timeout=_HANDLERS_S,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        host, port = listener.getsockname()[:2]
        log.info("clickhouse is served", url=f"http://{host}:{port}", path=str(path), version=engine.version, writer=writer is not None)
        await stopping.wait()
    finally:
        await app.kill_all()
        await runner.cleanup()
        await app.stop(_ENGINE_S)


def main(arguments: list[str] | None = None) -> int:
    """The process: 0 after a signal, 1 or 2 with one line on stderr when it cannot serve."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded.clickhouse_http", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data directory, made when absent")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    with suppress(PermissionError):
        os.setsid()  # the engine answers a fatal error with a signal to its whole group, which must be its own
    try:
        writer = _writer()
        configure_logs("embedded-clickhouse", [writer.password] if writer else [])
        asyncio.run(serve(options.path, _listener(options.host, options.port), writer))
    except Stop as error:
        print(error, file=sys.stderr)  # noqa: T201  for the person who starts it
        return error.exit_code
    return 0


def _writer() -> Writer | None:
    settings = load_settings().clickhouse
    password = settings.password.get_secret_value()
    if bool(settings.user) != bool(password):
        raise ConfigurationError("TELEMETRY_CLICKHOUSE__USER and TELEMETRY_CLICKHOUSE__PASSWORD go together: set both or neither")
    return Writer(settings.user, password) if settings.user else None


def _listener(host: str, port: int) -> socket.socket:
    """Taken before the engine is opened, so that a second server fails at once."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        raise Stop(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): stop what uses it, or choose another --port"
        ) from None


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # a thread that is still in the engine would crash the end of the interpreter
