"""A console in this process, on a port of its own, in front of a real Kafka; and the topics as a reader from outside sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from pydantic import SecretStr

from pipeline.console.app import serving
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import Console, Kafka, Settings
from pipeline.runtime.topic_tail import read_to_end
from schemas.alert import Alert, parse_alert
from schemas.topics import ALERTS, COMMANDS

SLACK: Final = "slack-signing-secret"
PAGERDUTY: Final = ("pagerduty-secret-old", "pagerduty-secret-new")
READY_WITHIN_S: Final = 30.0

_EXAMPLE: Final = parse_alert((Path(__file__).parents[3] / "schemas/examples/alert/valid/whole.json").read_bytes())


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    json: Any
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Talks to the console at `url`."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, path: str, body: Any, headers: dict[str, str]) -> Answer:
        async with self.session.post(self.url + path, data=body, headers=headers) as answer:
            return Answer(answer.status, json.loads(await answer.read()), dict(answer.headers))

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def ready(self) -> None:
        async with asyncio.timeout(READY_WITHIN_S):
            while (await self.get("/readyz"))[0] != 200:
                await asyncio.sleep(0.05)


def settings(kafka: str, **console: Any) -> Settings:
    given = {"port": 0, "slack_signing_secret": SecretStr(SLACK), "pagerduty_secrets": [SecretStr(secret) for secret in PAGERDUTY]}
    return Settings(kafka=Kafka(bootstrap_servers=kafka), console=Console(**{**given, **console}))


@asynccontextmanager
async def console(given: Settings) -> AsyncIterator[Client]:
    """Serves until the block ends; yields at once, ready or not."""
    async with serving(given, SystemClock()) as served, aiohttp.ClientSession() as session:
        yield Client(served.url, session)
        assert not any(task.done() for task in served.running)


def new_alert(**fields: Any) -> Alert:
    """An incident of its own that fires."""
    unique = {"incident_key": uuid4().hex * 2, "transition_id": uuid4().hex * 2}
    return _EXAMPLE.model_copy(update={"state": "firing", **unique, **fields})


async def publish(kafka: str, *values: Alert | bytes) -> None:
    """To alerts.v1."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(ALERTS.name, value if isinstance(value, bytes) else value.model_dump_json().encode())
    finally:
        await producer.stop()


async def commands_on(kafka: str, incident_key: str) -> list[dict[str, Any]]:
    """The records of commands.v1 with that key, in order."""
    found: list[dict[str, Any]] = []

    def keep(record: ConsumerRecord) -> None:
        if record.key == incident_key.encode():
            found.append(json.loads(record.value))

    await read_to_end(kafka, COMMANDS.name, keep)
    return found
