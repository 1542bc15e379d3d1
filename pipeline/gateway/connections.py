"""What aiohttp leaves open: connections that never send a request, and requests whose body is still coming when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.runtime.clock import Clock

FIRST_REQUEST_WITHIN_S: Final = 15.0
SWEEP_EVERY_S: Final = 5.0


class Connections:
    """Knows which connections have had a request and how many requests are in progress."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: set[object] = set()
        self._silent_since: dict[web.RequestHandler, float] = {}
        self._in_progress = 0
        self._drained: asyncio.Event | None = None

    def middleware(self) -> Middleware:
        """Sees every request; once draining, each answer is the last of its connection."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._served.add(request.protocol)
            self._in_progress += 1
            try:
                response = await handler(request)
            finally:
                self._in_progress -= 1
                self._check_drained()
            if self._drained is not None:
                response.force_close()
            return response

        return watch

    async def drain(self, timeout_s: float) -> None:
        """Wait until no request is in progress, with bodies still arriving: aiohttp's own shutdown drops what arrives after it began."""
        self._drained = asyncio.Event()
        self._check_drained()
        try:
            await asyncio.wait_for(self._drained.wait(), timeout_s)
        except TimeoutError:
            return

    def _check_drained(self) -> None:
        if self._drained is not None and self._in_progress == 0:
            self._drained.set()

    async def run(self, connections: Callable[[], Collection[web.RequestHandler]]) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.sweep(connections())

    def sweep(self, connections: Collection[web.RequestHandler]) -> None:
        """Close what has been open without a request since FIRST_REQUEST_WITHIN_S or longer before this sweep."""
        now = self._clock.monotonic()
        self._served.intersection_update(connections)
        self._silent_since = {c: self._silent_since.get(c, now) for c in connections if c not in self._served}
        for connection, since in self._silent_since.items():
            if now - since >= FIRST_REQUEST_WITHIN_S:
                connection.force_close()
