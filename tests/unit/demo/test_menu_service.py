from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from pipeline.demo.menu_service import MenuService, ModelServer, Provider, Request, Templates, answer, closed_port
from pipeline.runtime.clock import SystemClock, new_id
from pipeline.runtime.errors import Stop
from schemas.event import decode

REQUEST = Request("demo-user-1", "vegan")
CLOCK = SystemClock()


@pytest.fixture
def held() -> Any:
    with ExitStack() as stack:
        yield stack


def chain(held: ExitStack, folder: Path) -> tuple[ModelServer, ModelServer, Templates]:
    return ModelServer("ollama", closed_port(held)), ModelServer("claude", closed_port(held)), Templates(folder / "templates.json")


class Gateway:
    """Answers each POST with the next of `answers` (status, body), the last one for ever; keeps what it was sent."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.received: list[tuple[dict[str, Any], str | None]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((await request.json(), request.headers.get("Authorization")))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(body, status=status, headers={"Retry-After": "0"})


ACCEPTED = (202, {"accepted": 1, "event_ids": [], "rejected": []})


@asynccontextmanager
async def service(gateway: Gateway, providers: Sequence[Provider], write_key: str | None = None) -> AsyncIterator[MenuService]:
    app = web.Application()
    app.router.add_post("/v1/events", gateway.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield MenuService(providers, session, url, write_key, CLOCK, new_id, random.Random(1), lambda *_: None)
    finally:
        await runner.cleanup()


async def test_templates_answer_when_the_models_refuse_the_connection(held: ExitStack, tmp_path: Path) -> None:
    """Degraded, with the system's own error of the last provider that failed and the time that it took."""
    menu = await answer(REQUEST, chain(held, tmp_path), CLOCK)
    assert (menu.outcome, menu.provider, menu.error_type) == ("degraded", "templates", "ConnectionRefusedError")
    assert menu.recipes
    assert menu.generation_time_ms > 0


async def test_nothing_answers_without_the_templates_and_they_can_come_back(held: ExitStack, tmp_path: Path) -> None:
    """Failed, with the error of the missing file; put back, the same request is answered again."""
    providers = chain(held, tmp_path)
    providers[2].take_away()
    menu = await answer(REQUEST, providers, CLOCK)
    assert (menu.outcome, menu.provider, menu.error_type, menu.recipes) == ("failed", None, "FileNotFoundError", ())
    providers[2].put_back()
    assert (await answer(REQUEST, providers, CLOCK)).outcome == "degraded"


async def test_the_first_choice_makes_a_full_menu(tmp_path: Path) -> None:
    """Nobody else is asked then."""
    menu = await answer(REQUEST, (Templates(tmp_path / "templates.json"), ModelServer("ollama", 1)), CLOCK)
    assert (menu.outcome, menu.error_type) == ("full", None)


@pytest.mark.parametrize("away", [False, True])
async def test_what_is_published_is_a_valid_event(held: ExitStack, tmp_path: Path, away: bool) -> None:
    """Answered or not, it passes the contract, with the user and what they do not eat."""
    providers = chain(held, tmp_path)
    if away:
        providers[2].take_away()
    gateway = Gateway(ACCEPTED)
    async with service(gateway, providers, "key-1") as menus:
        menu = await menus.serve(REQUEST)
        assert menus.accepted == {("" if away else "templates", menu.outcome): 1}
    (event, authorization) = gateway.received[0]
    assert not decode([orjson.dumps(event)]).bad
    assert (event["user_id"], event["properties"]["restrictions"]) == ("demo-user-1", ["vegan"])
    assert event["properties"]["generation_time_ms"] == menu.generation_time_ms
    assert authorization == "Bearer key-1"


async def test_a_busy_gateway_gets_the_same_event_again(held: ExitStack, tmp_path: Path) -> None:
    """The id stays, so that it counts once, whatever became of the first request."""
    gateway = Gateway((503, {"error": "busy"}), ACCEPTED)
    async with service(gateway, chain(held, tmp_path)) as menus:
        await menus.serve(REQUEST)
    assert len(gateway.received) == 2
    assert gateway.received[0] == gateway.received[1]


@pytest.mark.parametrize("refusal", [(401, {"error": "unauthorized"}), (202, {"accepted": 0, "event_ids": [], "rejected": [{"index": 0}]})])
async def test_a_refused_event_stops_the_service(held: ExitStack, tmp_path: Path, refusal: tuple[int, dict[str, Any]]) -> None:
    """What is refused for good is not counted as sent, and nobody waits for it."""
    async with service(Gateway(refusal), chain(held, tmp_path)) as menus:
        with pytest.raises(Stop, match="refuses an event"):
            await menus.serve(REQUEST)
        assert not menus.accepted


async def test_it_serves_at_its_rate_until_it_is_stopped(held: ExitStack, tmp_path: Path) -> None:
    """Many users ask; when it stops, every menu that was begun has been published."""
    gateway = Gateway(ACCEPTED)
    async with service(gateway, chain(held, tmp_path)) as menus:
        running = asyncio.create_task(menus.run(100.0))
        async with asyncio.timeout(20):
            while len(gateway.received) < 20:
                await asyncio.sleep(0.01)
        menus.stop()
        await running
        assert menus.accepted.total() == len(gateway.received)
    assert len({event["user_id"] for event, _ in gateway.received}) > 5
