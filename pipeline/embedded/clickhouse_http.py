"""The embedded ClickHouse: the chDB engine behind the ClickHouse HTTP protocol, in a process of its own.

`python -m pipeline.embedded.clickhouse_http --path DIR --port N`; the writer is named by TELEMETRY_CLICKHOUSE__USER and __PASSWORD.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import structlog
from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_calls import EngineCalls
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_sessions import Sessions
from pipeline.embedded.http_queries import DISPLAY_NAME, QueryRun, new_token
from pipeline.embedded.http_replies import Reply
from pipeline.embedded.http_requests import Writer, read_request
from pipeline.runtime.clock import new_id
from pipeline.runtime.errors import ConfigurationError, Stop
from pipeline.runtime.health import add_health_routes
from pipeline.runtime.logs import configure_logs
from pipeline.runtime.settings import load_settings

log = structlog.get_logger(__name__)

MAX_REQUEST_LINE_BYTES = 100 << 10
READER_LIMIT_S = 600.0
_STOP_TIMEOUT_S = 2.0

REQUESTS = Counter(
    "nutricoach_clickhouse_requests_total", "Statements by user, verb and outcome (ok, error, gone).", ["user", "verb", "outcome"]
)
SECONDS = Histogram("nutricoach_clickhouse_request_seconds", "Time from a request to the end of its answer.", ["verb"])
WRITTEN_ROWS = Counter("nutricoach_clickhouse_written_rows_total", "Rows written, those of materialized views included.")
WAITING = Gauge("nutricoach_clickhouse_waiting_statements", "Statements that wait for a slot.", ["user"])


def command(path: Path, port: int) -> list[str]:
    """The argv of this server; the caller adds the writer's two settings to its environment and waits for `/ping`."""
    return [sys.executable, "-m", "pipeline.embedded.clickhouse_http", "--path", str(path), "--port", str(port)]


class ClickHouseHttp:
    """The server: an aiohttp application over one open engine."""

    def __init__(self, engine: Engine, writer: Writer | None) -> None:
        self.calls = EngineCalls(engine)
        self.sessions = Sessions()
        self._writer = writer
        WAITING.labels("reader").set_function(lambda: self.calls.readers.waiting)
        WAITING.labels("writer").set_function(lambda: self.calls.writers.waiting)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        for path in ("/ping", "/replicas_status"):
            app.router.add_get(path, self._ok)
        add_health_routes(app)
        app.router.add_route("*", "/", self._query)
        return app

    async def _ok(self, request: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        reply = Reply(new_id(), self.calls.engine.version, DISPLAY_NAME)
        run: QueryRun | None = None
        outcome = "gone"
        try:
            query = await read_request(request, self._writer, reply.query_id)
            reply.query_id = query.query_id
            reply.compress_for(query)
            run = QueryRun(self.calls, self.sessions, request, query, reply, new_token())
            async with asyncio.timeout(READER_LIMIT_S if query.is_reader else None):
                response = await run.answer()
            outcome = "ok"
            return response
        except EngineError as error:
            outcome = "error"
            return reply.error(error)
        except TimeoutError:
            outcome = "error"
            if reply.sent:
                raise
            return reply.error(
                EngineError.of(159, "TIMEOUT_EXCEEDED", f"Timeout exceeded: {READER_LIMIT_S:.0f} s is the limit of a reader")
            )
        finally:
            self._count(run, outcome, time.perf_counter() - reply.started_s)

    def _count(self, run: QueryRun | None, outcome: str, seconds: float) -> None:
        verb = run.verb if run else "OTHER"
        REQUESTS.labels("reader" if run is None or run.query.is_reader else "writer", verb, outcome).inc()
        SECONDS.labels(verb).observe(seconds)
        WRITTEN_ROWS.inc(run.written_rows if run else 0)


async def serve(path: Path, host: str, port: int, writer: Writer | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises Stop with one line when the port or the directory cannot be had."""
    engine = await asyncio.to_thread(Engine, path)
    server = ClickHouseHttp(engine, writer)
    runner = web.AppRunner(
        server.application(),
        access_log=None,
        handler_cancellation=True,  # a client that goes away takes its query with it
        auto_decompress=False,
        max_line_size=MAX_REQUEST_LINE_BYTES,
        max_field_size=MAX_REQUEST_LINE_BYTES,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise Stop(f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or choose another --port") from None
        log.info("clickhouse is served", url=f"http://{host}:{port}", path=str(path), version=engine.version, writer=writer is not None)
        await stopping.wait()
    finally:
        with suppress(EngineError):
            await server.calls.control(engine.kill_all)
        await runner.cleanup()
        server.sessions.close()
        await server.calls.stop(_STOP_TIMEOUT_S)


def main(arguments: list[str] | None = None) -> int:
    """The process: exit 0 after a signal, 1 or 2 with one line on stderr when it cannot serve."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded.clickhouse_http", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data directory, made when absent")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    with suppress(PermissionError):
        os.setsid()  # the engine answers a fatal error with a signal to its whole group, which must be its own
    try:
        settings = load_settings().clickhouse
        password = settings.password.get_secret_value()
        if bool(settings.user) != bool(password):
            raise ConfigurationError("TELEMETRY_CLICKHOUSE__USER and TELEMETRY_CLICKHOUSE__PASSWORD go together: set both or neither")
        configure_logs("embedded-clickhouse", [password] if password else [])
        writer = Writer(settings.user, password) if settings.user else None
        asyncio.run(serve(options.path, options.host, options.port, writer))
    except Stop as error:
        print(error, file=sys.stderr)  # noqa: T201  what a person who starts it sees
        return error.exit_code
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads of the engine must not outlive their interpreter
