"""A broker of its own, two alerters and two notifiers as processes, which are started again whenever they are gone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.sentinel import Sentinel
from pipeline.runtime.topics_admin import ensure_topics
from tests.chaos.alerting.config import SLACK, write_config
from tests.chaos.alerting.plant import Plant
from tests.chaos.alerting.receivers import Receivers
from tests.chaos.alerting.strikes import ROLES, RoleName
from tests.chaos.processes import Exit, Process
from tests.receivers.slack_api import CHANNEL, TOKEN

ROUTING_KEY: Final = "0123456789abcdef0123456789abcdef"
_ASKS_FOR_S: Final = 1.0
_ACTS: Final = "nutricoach_alerting_active{"


@dataclass(eq=False)
class Role(Process):
    """One of a pair. Every start has a name of its own, and with it addresses of its own at the receivers."""

    office: Receivers | None = None

    @property
    def instance(self) -> str:
        return f"{self.name}.{self.starts}"

    def start(self) -> None:
        assert self.office is not None
        instance = f"{self.name}.{self.starts + 1}"
        url = self.office.url_of(instance, "slack")
        env = {"CHAOS_NAME": instance, "TELEMETRY_RECEIVERS__PAGERDUTY__URL": self.office.url_of(instance, "pagerduty")}
        env |= {f"TELEMETRY_RECEIVERS__{name.upper().replace('-', '_')}__URL": url for name in SLACK}
        self.env = {**self.env, **env}
        super().start()

    async def acts(self) -> bool:
        """It owns the partition; one that does not answer does not act."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ASKS_FOR_S)) as session,
                session.get(self.ready.removesuffix("/readyz") + "/metrics") as answer,
            ):
                lines = (await answer.text()).splitlines()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return any(line.startswith(_ACTS) and line.endswith(" 1.0") for line in lines)


@dataclass
class Stack:
    """`exits` are processes that ended by themselves."""

    folder: Path
    kafka: str
    office: Receivers
    roles: dict[RoleName, list[Role]] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)

    def every(self) -> list[Role]:
        return [role for pair in self.roles.values() for role in pair]

    def by_instance(self, instance: str) -> Role | None:
        """The process of that name, if it is the one that runs."""
        return next((role for role in self.every() if role.instance == instance), None)


@asynccontextmanager
async def stack(folder: Path, office: Receivers, plant: Plant | None) -> AsyncIterator[Stack]:
    """Everything ready, and kept running until the block ends."""
    for name in ("logs", "orders", "traces"):
        (folder / name).mkdir()
    sentinel, port = Sentinel(), free_port()
    made = Stack(folder, f"{HOST}:{port}", office)
    command = [sys.executable, "-m", "pipeline.embedded.kafka", "--data-dir", str(folder / "kafka"), "--port", str(port)]
    broker = Process("broker", command, {}, folder, f"kafka://{made.kafka}", sentinel, made.exits)
    keepers: list[asyncio.Task[None]] = []
    try:
        broker.start()
        await broker.until_ready()
        await ensure_topics(made.kafka)
        made.roles = {name: [_role(made, name, number, sentinel, plant) for number in range(2)] for name in ROLES}
        keepers += [asyncio.create_task(role.keep()) for role in made.every()]
        await all_ready(made)
        yield made
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(role.stop) for role in made.every()))
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(sentinel.close)


async def all_ready(made: Stack) -> None:
    """TimeoutError names who is not."""
    await asyncio.gather(*(role.until_ready() for role in made.every()))


def _role(made: Stack, name: RoleName, number: int, sentinel: Sentinel, plant: Plant | None) -> Role:
    port = free_port()
    env = {
        "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": made.kafka,
        "TELEMETRY_CLICKHOUSE__URL": f"http://{HOST}:{free_port()}",  # nothing listens there
        "TELEMETRY_ALERTING__CONFIG_DIR": str(_config(made.folder)),
        "TELEMETRY_HEALTH__PORT": str(port),
        "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY": ROUTING_KEY,
        **({"CHAOS_PLANT": plant} if plant else {}),
    }
    for receiver in SLACK:
        prefix = f"TELEMETRY_RECEIVERS__{receiver.upper().replace('-', '_')}"
        env |= {f"{prefix}__TOKEN": TOKEN, f"{prefix}__CHANNEL": CHANNEL}
    command = [sys.executable, "-m", "tests.chaos.alerting.role", name]
    ready = f"http://{HOST}:{port}/readyz"
    return Role(f"{name}-{number}", command, env, made.folder, ready, sentinel, made.exits, office=made.office)


def _config(folder: Path) -> Path:
    directory = folder / "config"
    return directory if directory.exists() else write_config(directory)
