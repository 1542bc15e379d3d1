"""A small menu service. Each request walks the chain Ollama, Claude, templates, and how it ended is published as any service would do it.

Ollama and Claude are not on this machine: the connection to each is really opened, to a port where nothing listens, and really refused.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import aiohttp
import orjson

from pipeline.runtime.clock import Clock, NewId
from pipeline.runtime.errors import RetryAfter, Stop
from schemas.timestamps import isoformat_of

SERVICE: Final = "menu-service"
HOST: Final = "127.0.0.1"
USERS: Final = 60
#: So long a gateway that does not answer is asked again, with the same event id.
GIVE_UP_S: Final = 30.0

_TEMPLATES: Final = {
    "": ["lentil-soup", "roast-chicken", "ratatouille", "rice-pudding"],
    "vegan": ["lentil-soup", "chickpea-curry", "ratatouille"],
    "gluten-free": ["roast-chicken", "rice-pudding", "ratatouille"],
}

MenuOutcome = Literal["full", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, and what they do not eat; '' is no restriction."""

    user_id: str
    restriction: str


@dataclass(frozen=True, slots=True)
class Menu:
    """How a request ended. `error_type`: the class of the last provider's error, None when none failed."""

    outcome: MenuOutcome
    recipes: Sequence[str]
    provider: str | None
    error_type: str | None
    generation_time_ms: float


class Provider(Protocol):
    """One link of the chain. `generate` raises OSError when it has no answer."""

    name: str

    async def generate(self, request: Request) -> Sequence[str]: ...


class ModelServer:
    """A language model behind `port`; here nothing listens on it, so the system refuses the connection."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self._port = name, port

    async def generate(self, request: Request) -> Sequence[str]:
        _, writer = await asyncio.open_connection(HOST, self._port)
        writer.close()
        raise ConnectionError(f"something listens on port {self._port}, and it is not {self.name}")


class Templates:
    """Menus computed beforehand, in a file that every request reads. `take_away` and `put_back` stage the incident."""

    name = "templates"

    def __init__(self, file: Path) -> None:
        self._file = file
        self.put_back()

    async def generate(self, request: Request) -> Sequence[str]:
        menus: dict[str, list[str]] = orjson.loads(await asyncio.to_thread(self._file.read_bytes))
        return menus[request.restriction]

    def take_away(self) -> None:
        self._file.unlink(missing_ok=True)

    def put_back(self) -> None:
        part = self._file.with_suffix(".part")
        part.write_bytes(orjson.dumps(_TEMPLATES))
        part.replace(self._file)


def closed_port(held: ExitStack) -> int:
    """A port on which nothing listens until `held` ends: it is bound, so that nobody else can have it either."""
    bound = held.enter_context(socket.socket())
    bound.bind((HOST, 0))
    port: int = bound.getsockname()[1]
    return port


async def answer(request: Request, providers: Sequence[Provider], clock: Clock) -> Menu:
    """Ask one provider after the other until one answers, and measure how long that took."""
    began_s, error_type = clock.monotonic(), None
    for provider in providers:
        try:
            recipes = await provider.generate(request)
        except OSError as error:
            error_type = type(error).__name__
            continue
        outcome: MenuOutcome = "full" if provider is providers[0] else "degraded"
        return Menu(outcome, recipes, provider.name, error_type, (clock.monotonic() - began_s) * 1000)
    return Menu("failed", (), None, error_type, (clock.monotonic() - began_s) * 1000)


def event_of(menu: Menu, request: Request, event_id: str, now_ms: int) -> dict[str, Any]:
    """The event that is published."""
    properties = {
        "recipe_count": len(menu.recipes),
        "restrictions": [request.restriction] if request.restriction else [],
        "generation_time_ms": menu.generation_time_ms,
        "outcome": menu.outcome,
        "provider": menu.provider,
        "error_type": menu.error_type,
    }
    return {
        "event_id": event_id,
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": isoformat_of(now_ms),
        "source": {"service": SERVICE, "version": "1.0.0", "environment": "demo"},
        "user_id": request.user_id,
        "properties": {name: value for name, value in properties.items() if value is not None},
    }


class MenuService:
    """Answers `menus_per_s` requests a second until `stop`.

    accepted: events that the gateway has taken, by (provider, outcome). on_sending is told (outcome, wall ms) before each is sent.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        session: aiohttp.ClientSession,
        gateway_url: str,
        write_key: str | None,
        clock: Clock,
        new_id: NewId,
        chance: random.Random,
        on_sending: Callable[[MenuOutcome, int], None],
    ) -> None:
        self.accepted: Counter[tuple[str, MenuOutcome]] = Counter()
        self._providers, self._session, self._clock, self._new_id, self._chance = providers, session, clock, new_id, chance
        self._on_sending = on_sending
        self._url = f"{gateway_url}/v1/events"
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {write_key}"} if write_key else {})
        self._stopped = asyncio.Event()

    async def run(self, menus_per_s: float) -> None:
        """Until `stop`; what is being answered then is still published. Raises Stop when the gateway refuses an event for good."""
        began_s, asked = self._clock.monotonic(), 0
        async with asyncio.TaskGroup() as requests:
            while not self._stopped.is_set():
                request = Request(f"demo-user-{self._chance.randrange(USERS)}", self._chance.choice(list(_TEMPLATES)))
                requests.create_task(self.serve(request))
                asked += 1
                wait_s = began_s + asked / menus_per_s - self._clock.monotonic()
                if wait_s > 0:
                    await _within(self._stopped.wait(), wait_s)

    def stop(self) -> None:
        self._stopped.set()

    async def serve(self, request: Request) -> Menu:
        """Answer one request and publish how it ended."""
        menu = await answer(request, self._providers, self._clock)
        now_ms = self._clock.now_ms()
        self._on_sending(menu.outcome, now_ms)
        await self._patiently(orjson.dumps(event_of(menu, request, self._new_id(), now_ms)))
        self.accepted[menu.provider or "", menu.outcome] += 1
        return menu

    async def _patiently(self, body: bytes) -> None:
        """The same id again is the same event, so one whose answer was lost is simply sent again."""
        began_s = self._clock.monotonic()
        while True:
            try:
                return await self._post(body)
            except RetryAfter as busy:
                if self._clock.monotonic() - began_s > GIVE_UP_S:
                    raise Stop(f"the menu service cannot publish: {busy}") from None
                await asyncio.sleep(busy.seconds)

    async def _post(self, body: bytes) -> None:
        try:
            async with self._session.post(self._url, data=body, headers=self._headers) as response:
                text = (await response.text())[:300]
                if response.status == 202 and not orjson.loads(text)["rejected"]:
                    return
                if response.status in (429, 503):
                    raise RetryAfter(f"the gateway answers {response.status}", float(response.headers.get("Retry-After", 1)))
                raise Stop(f"the gateway refuses an event of the menu service: {response.status} {text}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryAfter(f"the gateway does not answer ({type(error).__name__})") from error


async def _within(waiting: Any, wait_s: float) -> None:
    try:
        await asyncio.wait_for(waiting, wait_s)
    except TimeoutError:
        return
