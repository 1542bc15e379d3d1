"""A receiver on loopback: a real HTTP server that checks what it gets, writes down when, and misbehaves when told to.

    async with running(slack_violations, success=(200, "ok")) as receiver: ...        # in a test
    python -m tests.receivers.slack --port 8201 --record slack.jsonl                  # as a process of its own

The process takes `POST /misbehave` with a list of misbehaviours, each for one request: {"status": 429, "retry_after_s": 2},
{"hang_s": 60}, {"delay_s": 0.5}, {"reset": true}; `GET /received` returns what has come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from aiohttp import web

_HEADERS = ("Authorization", "Idempotency-Key")
#: What is wrong with a request: (content type, body as JSON) → one line per violation.
Violations = Callable[[str, Any], list[str]]


class Misbehaviour(TypedDict, total=False):
    """What happens to one request instead of, or before, the proper answer."""

    status: int
    retry_after_s: float
    hang_s: float
    delay_s: float
    reset: bool


@dataclass(frozen=True, slots=True)
class Received:
    """One request: `status` is what it was answered, None when it got no answer."""

    received_at_ms: int
    path: str
    status: int | None
    violations: list[str]
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Receiver:
    """What has been received, in order; `misbehaviours` wait for the next requests; `success` is status and body of the good answer."""

    violations: Violations
    success: tuple[int, str]
    record: Path | None = None
    received: list[Received] = field(default_factory=list)
    misbehaviours: deque[Misbehaviour] = field(default_factory=deque)
    url: str = ""

    def misbehave(self, *misbehaviours: Misbehaviour) -> None:
        self.misbehaviours.extend(misbehaviours)

    def accepted(self) -> list[Any]:
        """Bodies that were answered with success."""
        return [request.body for request in self.received if request.status == self.success[0]]

    async def wait_for(self, count: int, within_s: float = 10.0) -> list[Any]:
        """The accepted bodies, once there are `count`; TimeoutError when they do not come in time."""
        deadline = time.monotonic() + within_s
        while len(self.accepted()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.accepted())} of {count} accepted; received: {[r.status for r in self.received]}")
            await asyncio.sleep(0.01)
        return self.accepted()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        received_at_ms = time.time_ns() // 1_000_000
        raw = await request.read()
        try:
            body = json.loads(raw)
            violations = self.violations(request.content_type, body)
        except ValueError:
            body, violations = raw.decode("utf-8", "replace"), ["the body is not JSON"]
        misbehaviour = self.misbehaviours.popleft() if self.misbehaviours else Misbehaviour()
        status = self._status(misbehaviour, violations)
        headers = {name: request.headers[name] for name in _HEADERS if name in request.headers}
        self._note(Received(received_at_ms, request.path, status, violations, body, headers))
        if misbehaviour.get("reset") and request.transport is not None:
            request.transport.abort()
        await asyncio.sleep(misbehaviour.get("hang_s", misbehaviour.get("delay_s", 0.0)))
        asks = {"Retry-After": f"{misbehaviour['retry_after_s']:g}"} if "retry_after_s" in misbehaviour else {}
        if status == self.success[0]:
            return web.Response(status=status, text=self.success[1], headers=asks)
        return web.Response(status=status or 500, text="; ".join(violations) or "told to misbehave", headers=asks)

    def _status(self, misbehaviour: Misbehaviour, violations: list[str]) -> int | None:
        if misbehaviour.get("reset") or "hang_s" in misbehaviour:
            return None
        return misbehaviour.get("status", 400 if violations else self.success[0])

    def _note(self, received: Received) -> None:
        self.received.append(received)
        if self.record is not None:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(received)) + "\n")


@asynccontextmanager
async def running(
    violations: Violations, success: tuple[int, str], *, port: int = 0, record: Path | None = None
) -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback, or on `port`, until the block ends."""
    receiver = Receiver(violations, success, record)

    async def misbehave(request: web.Request) -> web.Response:
        receiver.misbehave(*await request.json())
        return web.Response(text="ok")

    async def received(request: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in receiver.received])

    app = web.Application()
    app.router.add_post("/misbehave", misbehave)
    app.router.add_get("/received", received)
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


def main(name: str, violations: Violations, success: tuple[int, str], argv: Iterable[str] | None = None) -> None:
    """Serve until a signal ends the process; prints the address in one line when it is ready."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.receivers.{name}")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args(None if argv is None else list(argv))

    async def serve() -> None:
        async with running(violations, success, port=arguments.port, record=arguments.record) as receiver:
            print(receiver.url, flush=True)  # noqa: T201
            await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())
