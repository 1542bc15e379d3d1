"""The HTTP application over one open engine: statements on `/`, and what monitors ask for."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_calls import EngineCalls
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_sessions import Sessions
from pipeline.embedded.http_queries import QueryRun
from pipeline.embedded.http_replies import Reply
from pipeline.embedded.http_requests import Writer, read_request
from pipeline.runtime.clock import new_id
from pipeline.runtime.health import add_health_routes

READER_LIMIT_S = 600.0  # whatever max_execution_time a reader sends, and however slowly it reads

REQUESTS = Counter(
    "nutricoach_clickhouse_requests_total", "Statements by user, verb and outcome (ok, error, gone).", ["user", "verb", "outcome"]
)
SECONDS = Histogram("nutricoach_clickhouse_request_seconds", "Time from a request to the end of its answer.", ["verb"])
WRITTEN_ROWS = Counter("nutricoach_clickhouse_written_rows_total", "Rows written, those of materialized views included.")
WAITING = Gauge("nutricoach_clickhouse_waiting_statements", "Statements that wait for a slot.", ["user"])


class ClickHouseApp:
    """Everybody is a reader but `writer`. `kill_all`, then close the runner of `application`, then `stop`."""

    def __init__(self, engine: Engine, writer: Writer | None) -> None:
        self._calls = EngineCalls(engine)
        self._sessions = Sessions(time.monotonic)
        self._writer = writer
        WAITING.labels("reader").set_function(lambda: self._calls.readers.waiting)
        WAITING.labels("writer").set_function(lambda: self._calls.writers.waiting)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)  # of a multipart form; other bodies are streamed
        for path in ("/ping", "/replicas_status"):
            app.router.add_get(path, _ok)
        add_health_routes(app, stuck=self._calls.stuck)
        app.router.add_route("*", "/", self._query)
        return app

    async def kill_all(self) -> None:
        """Make every statement that runs fail now."""
        await self._calls.kill_all()

    async def stop(self, timeout_s: float) -> None:
        self._sessions.close()
        await self._calls.stop(timeout_s)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        reply = Reply(new_id(), self._calls.engine.version)
        run: QueryRun | None = None
        outcome = "gone"
        try:
            query = await read_request(request, self._writer, reply.query_id)
            reply.serve(query)
            run = QueryRun(self._calls, self._sessions, request, query, reply)
            async with asyncio.timeout(READER_LIMIT_S if query.is_reader else None):
                response = await run.answer()
            outcome = "gone" if reply.client_gone else "ok"
            return response
        except EngineError as error:
            outcome = "error"
            return reply.error(error)
        except TimeoutError:
            outcome = "error"
            if reply.streaming is not None:  # too late for an error
                assert request.transport is not None
                request.transport.abort()
                return reply.streaming
            return reply.error(EngineError.of(159, "TIMEOUT_EXCEEDED", f"Timeout exceeded: a reader has {READER_LIMIT_S:.0f} s"))
        finally:
            _count(run, outcome, time.perf_counter() - reply.started_s)


async def _ok(request: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


def _count(run: QueryRun | None, outcome: str, seconds: float) -> None:
    verb = run.verb if run else "OTHER"
    REQUESTS.labels("reader" if run is None or run.query.is_reader else "writer", verb, outcome).inc()
    SECONDS.labels(verb).observe(seconds)
    WRITTEN_ROWS.inc(run.written_rows if run else 0)
