from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.integration.runtime.effects_worker import Plan
from tests.integration.runtime.processes import worker
from tests.integration.runtime.topics import new_topic


def parse_envelope(body: bytes) -> tuple[dict[str, Any], list[tuple[dict[str, Any], bytes]]]:
    """Header and items of an envelope, by the rules Sentry publishes: lines of JSON, payloads by length or to the end of the line."""
    head, _, rest = body.partition(b"\n")
    items = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        payload, rest = (rest[:length], rest[length:].removeprefix(b"\n")) if length is not None else rest.split(b"\n", 1)
        items.append((header, payload))
    return json.loads(head), items


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, list[tuple[web.Request, bytes]]]]:
    """A DSN on loopback, and the envelopes that came."""
    came: list[tuple[web.Request, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        came.append((request, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
        return web.json_response({"id": "0" * 32})

    app = web.Application()
    app.router.add_post("/api/7/envelope/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://public@127.0.0.1:{runner.addresses[0][1]}/7", came
    finally:
        await runner.cleanup()


async def test_a_bug_arrives_at_sentry_without_secrets_and_variables(kafka: str, tmp_path: Path) -> None:
    """A crashing worker sends its error with the stack and its role before it exits, and no value of a local variable."""
    topic = await new_topic(kafka, 1)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="bug")
    async with sink() as (dsn, came):
        environment = {"SENTRY_DSN": dsn, "TELEMETRY_CLICKHOUSE__PASSWORD": "hunter2"}
        async with worker(plan, tmp_path, "worker", environment=environment) as process:
            assert (await process.exited())[0] == 1
    events = [json.loads(body) for _, envelope in came for head, body in parse_envelope(envelope)[1] if head["type"] == "event"]
    (crash,) = events  # once, although the log has it three times
    assert (crash["tags"]["role"], crash["exception"]["values"][-1]["type"]) == ("worker", "KeyError")
    frames = crash["exception"]["values"][-1]["stacktrace"]["frames"]
    assert frames[-1]["function"] == "other_work"
    assert all("vars" not in frame for frame in frames)
    everything = b"".join(envelope for _, envelope in came)
    assert b"hunter2" not in everything
    assert all("public" in request.headers["X-Sentry-Auth"] for request, _ in came)


async def test_an_expected_end_is_reported_with_secrets_hidden(kafka: str, tmp_path: Path) -> None:
    """A Stop is for people to read, and its line may quote a setting."""
    topic = await new_topic(kafka, 1)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="stop with the password")
    async with sink() as (dsn, came):
        environment = {"SENTRY_DSN": dsn, "TELEMETRY_CLICKHOUSE__PASSWORD": "hunter2"}
        async with worker(plan, tmp_path, "worker", environment=environment) as process:
            assert (await process.exited())[0] == 1
    everything = b"".join(envelope for _, envelope in came)
    assert b"cannot log in with ***" in everything
    assert b"hunter2" not in everything


async def test_without_a_dsn_nothing_is_sent(kafka: str, tmp_path: Path) -> None:
    """Not even to an address that would be there."""
    topic = await new_topic(kafka, 1)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="bug")
    async with sink() as (_, came), worker(plan, tmp_path, "worker") as process:
        assert (await process.exited())[0] == 1
    assert came == []
