"""What aiohttp leaves open: connections that never send a request, more of them than there is room for, answers that nobody reads,
and requests whose body is still coming when the server stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.gateway import limits
from pipeline.runtime.clock import Clock

FIRST_REQUEST_WITHIN_S: Final = 15.0
SWEEP_EVERY_S: Final = 1.0


class Connections:
    """Knows which connections have had a request, which have one now, and since when the others have none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: set[object] = set()
        self._busy: set[object] = set()
        self._idle_since: dict[web.RequestHandler, float] = {}
        self._in_progress = 0
        self._drained: asyncio.Event | None = None

    def middleware(self) -> Middleware:
        """Sees every request, and sends its answer; once draining, each answer is the last of its connection."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            self._served.add(connection)
            self._busy.add(connection)
            self._in_progress += 1
            try:
                response = await handler(request)
                if self._drained is not None:
                    response.force_close()
                await _send(request, response)
            finally:
                self._in_progress -= 1
                self._busy.discard(connection)
                self._idle_since[connection] = self._clock.monotonic()
                self._check_drained()
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
        """Close what has been open without a request since FIRST_REQUEST_WITHIN_S or longer before this sweep, and what is too many."""
        now = self._clock.monotonic()
        self._served.intersection_update(connections)
        self._idle_since = {connection: self._idle_since.get(connection, now) for connection in connections}
        idle = sorted((c for c in self._idle_since if c not in self._busy), key=self._idle_since.__getitem__)
        too_many = max(0, len(connections) - limits.MAX_CONNECTIONS)
        for place, connection in enumerate(idle):
            silent = connection not in self._served and now - self._idle_since[connection] >= FIRST_REQUEST_WITHIN_S
            if silent or place < too_many:
                connection.force_close()


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    """Send the answer here, where its time can be bounded: aiohttp would wait for ever for a client that does not read."""
    try:
        async with asyncio.timeout(limits.ANSWER_TIMEOUT_S):
            await response.prepare(request)
            await response.write_eof()
    except ConnectionResetError:
        return  # nobody waits for it any more; whoever sent the events may send them again
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
