"""/healthz, /readyz and /metrics: routes for any aiohttp application, and a server for roles that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from mode import Service
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pipeline.runtime.errors import Stop

log = structlog.get_logger(__name__)

Reason = Callable[[], str | None]


def add_health_routes(app: web.Application, *, waiting_for: Reason = lambda: None, stuck: Reason = lambda: None) -> None:
    """Serve the three paths from `app`.

    Args:
        waiting_for: what the role still waits for before it does its work ("ClickHouse"), None when it is ready.
        stuck: why the process should be restarted, None while it is alive.
    """

    async def healthz(request: web.Request) -> web.Response:
        reason = stuck()
        return web.json_response({"healthy": reason is None, "stuck": reason}, status=200 if reason is None else 503)

    async def readyz(request: web.Request) -> web.Response:
        reason = waiting_for()
        return web.json_response({"ready": reason is None, "waiting_for": reason}, status=200 if reason is None else 503)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


class HealthServer(Service):
    """Serves the three paths on `host`:`port`; port 0 takes a free one, `url` says which once it has started."""

    url: str

    def __init__(self, host: str, port: int, *, waiting_for: Reason = lambda: None, stuck: Reason = lambda: None, **service: Any) -> None:
        super().__init__(**service)
        self.host, self.port, self._waiting_for, self._stuck = host, port, waiting_for, stuck
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        app = web.Application()
        add_health_routes(app, waiting_for=self._waiting_for, stuck=self._stuck)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError as error:
            reason = f"cannot serve health on {self.host}:{self.port} ({error.strerror})"
            raise Stop(f"{reason}; set TELEMETRY_HEALTH__PORT to a free port, or to 0 to take one") from error
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        log.info("health is served", url=self.url)

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
