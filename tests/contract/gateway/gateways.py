"""A gateway in this process, on a free port, and a client that knows where it is."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from pipeline.gateway.app import serving
from pipeline.runtime.clock import SystemClock, new_id
from pipeline.runtime.settings import Gateway, Kafka, Settings

READY_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and JSON of an answer; a body that is no JSON fails the test that asked."""

    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True, slots=True)
class Client:
    """Talks HTTP to one gateway."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, body: Any = None, *, query: str = "", **headers: str) -> Answer:
        """POST /v1/events: bytes as they are, anything else as JSON; `Content_Type="x"` is a header."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("Content-Type", "application/json")
        content = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self.session.post(f"{self.url}/v1/events{query}", headers=sent, data=content) as response:
            return Answer(response.status, response.headers, await response.json())

    async def ready(self) -> None:
        """Return once /readyz says so."""
        async with asyncio.timeout(READY_WITHIN_S):
            while (await self.get("/readyz")).status != 200:
                await asyncio.sleep(0.02)

    async def get(self, path: str) -> Answer:
        async with self.session.get(self.url + path) as response:
            return Answer(response.status, response.headers, await response.json())


@asynccontextmanager
async def gateway_on(kafka: str, **gateway: Any) -> AsyncIterator[Client]:
    """A gateway that publishes to `kafka`, with the settings of `Gateway`."""
    settings = Settings(_env_file=None, kafka=Kafka(bootstrap_servers=kafka), gateway=Gateway(**{"port": 0} | gateway))
    async with serving(settings, SystemClock(), new_id) as serves, aiohttp.ClientSession() as session:
        yield Client(serves.url, session)
