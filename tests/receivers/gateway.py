"""A gateway on loopback that takes events as the real one answers, or misbehaves when told to, and writes down what has come."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict

from aiohttp import web
from aiohttp.typedefs import Handler


class Misbehaviour(TypedDict, total=False):
    """What happens to one request: `status` with `headers` and `body`, no answer for `hang_s`, or a connection that is cut."""

    status: int
    headers: Mapping[str, str]
    body: str
    hang_s: float
    reset: bool


@dataclass(frozen=True, slots=True)
class Received:
    """One request: `status` is what it was answered, 0 when it got no answer; `connection` is the client's port."""

    at_s: float
    status: int
    events: list[dict[str, Any]]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    connection: int


@dataclass
class FakeGateway:
    """`misbehaviours` wait for the next requests, `always` is for all of them, `handler` answers in its place; `received` is in order."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    misbehaviours: deque[Misbehaviour] = field(default_factory=deque)
    always: Misbehaviour | None = None
    handler: Handler | None = None

    def accepted(self) -> list[dict[str, Any]]:
        """Events of the requests answered with 202, in order, repeats and all."""
        return [event for request in self.received if request.status == 202 for event in request.events]

    def statuses(self) -> list[int]:
        return [request.status for request in self.received]

    async def wait_for(self, requests: int, within_s: float = 10.0) -> None:
        """Until so many requests have come."""
        async with asyncio.timeout(within_s):
            while len(self.received) < requests:
                await asyncio.sleep(0.005)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        events = [json.loads(line) for line in (await request.read()).splitlines()]
        misbehaviour = self.misbehaviours.popleft() if self.misbehaviours else self.always or Misbehaviour()
        is_silent = misbehaviour.get("reset") or "hang_s" in misbehaviour
        status = 0 if is_silent else misbehaviour.get("status", 202)
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        self.received.append(Received(time.monotonic(), status, events, dict(request.query), dict(request.headers), port))
        if is_silent:
            await asyncio.sleep(misbehaviour.get("hang_s", 0.0))
            request.transport.abort()
        taken = json.dumps({"accepted": len(events), "event_ids": [event["event_id"] for event in events], "rejected": []})
        return web.Response(status=status or 500, text=misbehaviour.get("body", taken), headers=misbehaviour.get("headers"))


@asynccontextmanager
async def fake_gateway(port: int = 0, *, keepalive_s: float = 75.0) -> AsyncIterator[FakeGateway]:
    """On a free port of loopback, or on `port`, until the block ends."""
    gateway = FakeGateway()
    app = web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (gateway.handler or gateway.handle)(request)

    app.router.add_post("/v1/events", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, keepalive_timeout=keepalive_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gateway
    finally:
        await runner.cleanup()
