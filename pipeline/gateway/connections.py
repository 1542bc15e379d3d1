"""Closes connections that never say what they want: aiohttp waits for the first request of a connection for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.runtime.clock import Clock

FIRST_REQUEST_WITHIN_S: Final = 15.0
SWEEP_EVERY_S: Final = 5.0


class FirstRequestDeadline:
    """Knows which connections have had a request, and closes those that have had none for too long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: set[object] = set()
        self._silent_since: dict[web.RequestHandler, float] = {}

    def middleware(self) -> Middleware:
        """Marks the connection of each request."""

        @web.middleware
        async def mark(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._served.add(request.protocol)
            return await handler(request)

        return mark

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
