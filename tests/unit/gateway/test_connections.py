from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.gateway import limits
from pipeline.gateway.connections import FIRST_REQUEST_WITHIN_S, Connections
from pipeline.runtime.clock import SystemClock
from tests.unit.gateway.test_admission import ManualClock


class Connection:
    """What is used of aiohttp's RequestHandler."""

    closed = False

    def force_close(self) -> None:
        self.closed = True


def opened(number: int) -> list[web.RequestHandler]:
    return [Connection() for _ in range(number)]  # type: ignore[misc]  # as far as Connections looks


def closed(connections: list[web.RequestHandler]) -> list[bool]:
    return [connection.closed for connection in connections]  # type: ignore[attr-defined]  # see above


def test_a_connection_that_never_asks_is_closed() -> None:
    """Not before its time, which begins when it is first seen."""
    clock = ManualClock()
    connections, seen = Connections(clock), opened(1)
    connections.sweep(seen)
    clock.seconds = FIRST_REQUEST_WITHIN_S - 0.1
    connections.sweep(seen)
    assert closed(seen) == [False]
    clock.seconds = FIRST_REQUEST_WITHIN_S
    connections.sweep(seen)
    assert closed(seen) == [True]


def test_too_many_connections_lose_those_idle_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three where there is room for two: the oldest goes, at once."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    clock = ManualClock()
    connections, old, new = Connections(clock), opened(1), opened(2)
    connections.sweep(old)
    clock.seconds = 1.0
    connections.sweep([*new, *old])
    assert (closed(old), closed(new)) == ([True], [False, False])


async def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer larger than all buffers on the way is given up, and with it the connection and the request."""
    monkeypatch.setattr(limits, "ANSWER_TIMEOUT_S", 0.2)
    connections, ended = Connections(SystemClock()), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bytes(64 << 20))

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        ended.set()
        return response

    app = web.Application(middlewares=[watch, connections.middleware()])
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0][:2], limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 10)
        async with asyncio.timeout(10):
            while runner.server is not None and runner.server.connections:
                await asyncio.sleep(0.01)
        writer.transport.abort()
    finally:
        await runner.cleanup()


async def test_a_client_that_has_left_before_its_answer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """It is answered into the void: nothing is logged, and the request is over."""
    connections, begun, ended = Connections(SystemClock()), asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        begun.set()
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(0.01)
        return web.Response(text="too late")

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            ended.set()

    app = web.Application(middlewares=[watch, connections.middleware()])
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 10)
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 10)
        await connections.drain(10)
    finally:
        await runner.cleanup()
    assert caplog.records == []
