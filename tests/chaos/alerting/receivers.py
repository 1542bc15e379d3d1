"""Slack and PagerDuty on loopback: half of what they are asked they answer with 429 or 500, or not at all. They know who asks.

Each process has addresses of its own (`url_of`), so what it sent is known to be its own, whatever it says.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web

from tests.receivers import pagerduty
from tests.receivers.slack_api import SlackApi

FaultName = Literal["", "429", "500", "hangs", "no answer"]
_FAULT_RATIO: Final = 0.5
_FAULTS: Final[tuple[FaultName, ...]] = ("429", "500", "hangs")
_WEIGHTS: Final = (45, 30, 25)
#: Of what fails otherwise than by 429 so much is done all the same, and only the answer is lost.
_DONE_RATIO: Final = 0.5
_HANGS_S: Final = (0.2, 2.0)
#: Longer than the notifier waits, and rare: nothing else goes to the receiver meanwhile.
_NO_ANSWER_RATIO: Final = 0.01
_NO_ANSWER_S: Final = 12.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of `process`. `done`: it was obeyed, whatever was answered (`fault`); `what` is Slack's method or PagerDuty's action."""

    at_ms: int
    process: str
    receiver: Literal["slack", "pagerduty"]
    what: str
    body: dict[str, Any]
    done: bool
    fault: FaultName
    violations: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.receiver == "pagerduty" or self.what.startswith("chat.")


@dataclass
class Receivers:
    """`asked`: told of the process and of the call, `chat.postMessage` or `enqueue`, when it is done and before it is answered."""

    chance: random.Random
    record: Path
    asked: Callable[[str, str], None] = lambda process, call: None
    slack: SlackApi = field(default_factory=SlackApi)
    asks: list[Ask] = field(default_factory=list)
    url: str = ""
    well: bool = False

    def url_of(self, process: str, receiver: str) -> str:
        return f"{self.url}/{process}/{receiver}"

    def get_well(self) -> None:
        """From now on nothing fails."""
        self.well = True

    async def on_slack(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        fault, done = self._fault()
        at_ms = time.time_ns() // 1_000_000
        arguments: dict[str, Any] = dict(request.query) if request.method == "GET" else await request.json()
        before = len(self.slack.calls)
        answer = await self.slack.handle(request) if done else None
        refused = [violation for call in self.slack.calls[before:] for violation in call.violations]
        self._note(Ask(at_ms, request.match_info["process"], "slack", method, arguments, done, fault, tuple(refused)))
        self.asked(request.match_info["process"], method)
        return await self._answer(request, fault, answer)

    async def on_pagerduty(self, request: web.Request) -> web.StreamResponse:
        fault, done = self._fault()
        at_ms = time.time_ns() // 1_000_000
        body = await request.json()
        refused = pagerduty.violations(request.content_type, body)
        process = request.match_info["process"]
        self._note(Ask(at_ms, process, "pagerduty", str(body.get("event_action")), body, done and not refused, fault, tuple(refused)))
        self.asked(process, "enqueue")
        status, text = pagerduty.SUCCESS
        return await self._answer(request, fault, web.Response(status=400 if refused else status, text=text))

    def _fault(self) -> tuple[FaultName, bool]:
        """What goes wrong with the answer, and whether the call is obeyed all the same."""
        if self.well or self.chance.random() >= _FAULT_RATIO:
            return "", True
        if self.chance.random() < _NO_ANSWER_RATIO:
            return "no answer", self.chance.random() < _DONE_RATIO
        (fault,) = self.chance.choices(_FAULTS, _WEIGHTS)
        return fault, fault != "429" and self.chance.random() < _DONE_RATIO

    async def _answer(self, request: web.Request, fault: FaultName, answer: web.StreamResponse | None) -> web.StreamResponse:
        match fault:
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"}, text="too many")
            case "500":
                return web.Response(status=500, text="told to misbehave")
            case "hangs" | "no answer":
                await asyncio.sleep(_NO_ANSWER_S if fault == "no answer" else self.chance.uniform(*_HANGS_S))
                if request.transport is not None:
                    request.transport.abort()
        return answer or web.Response(status=500)

    def _note(self, ask: Ask) -> None:
        self.asks.append(ask)
        with self.record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(ask)) + "\n")


@asynccontextmanager
async def receivers(seed: int, record: Path) -> AsyncIterator[Receivers]:
    """On a free port, until the block ends."""
    office = Receivers(random.Random(f"receivers {seed}"), record)
    app = web.Application()
    app.router.add_route("*", "/{process}/slack/{method}", office.on_slack)
    app.router.add_post("/{process}/pagerduty", office.on_pagerduty)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        office.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield office
    finally:
        await runner.cleanup()
