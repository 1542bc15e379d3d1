from __future__ import annotations

import asyncio
from itertools import repeat

import pytest
from aiohttp import web

from tests.bench.gateway_load import Kind, requests
from tests.bench.http_load import Load, content_length, drive, post


async def loaded(status: int, connections: int, after: int) -> tuple[Load, list[bytes]]:
    """Load a server of aiohttp until it has had so many requests; what came back, and what it saw."""
    seen: list[bytes] = []
    load = Load(repeat(post("127.0.0.1", "/v1/events", b"a\nb", 2, "application/x-ndjson", "zstd")))

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.read())
        assert (request.content_type, request.headers["Content-Encoding"]) == ("application/x-ndjson", "zstd")
        load.stop = load.stop or len(seen) >= after
        return web.Response(status=status, text="x" * 3_000_000)

    app = web.Application()
    app.router.add_post("/v1/events", answer)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await asyncio.wait_for(drive("127.0.0.1", runner.addresses[0][1], load, connections), 30)
    finally:
        await runner.cleanup()
    return load, seen


async def test_every_request_is_answered_before_the_end() -> None:
    """Stopped while requests are on their way, each connection waits for its answer, however many pieces that comes in."""
    load, seen = await loaded(202, connections=4, after=20)
    assert len(load.answers) == len(seen) >= 20
    assert set(seen) == {b"a\nb"}
    assert sum(answer.events for answer in load.answers) == 2 * len(seen)
    assert all(answer.wait_ms > 0 for answer in load.answers)


async def test_an_answer_that_is_not_202_ends_the_load() -> None:
    """Refusals are fast: they must not count as speed."""
    with pytest.raises(ValueError, match="503 Service Unavailable"):
        await loaded(503, connections=2, after=10)


def test_an_answer_says_how_long_it_is() -> None:
    """Header names have no case; without a length nobody knows where the next answer begins."""
    assert content_length(b"HTTP/1.1 202 Accepted\r\nServer: x\r\ncontent-LENGTH: 17") == 17
    with pytest.raises(ValueError, match="Content-Length"):
        content_length(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked")


def test_events_are_grouped_into_requests() -> None:
    """All of them, the last request with what is left."""
    made = requests(Kind("", 2, 1), [b"1", b"2", b"3"], "h")
    assert [(request.events, request.wire.split(b"\r\n\r\n")[1]) for request in made] == [(2, b"1\n2"), (1, b"3")]
