"""A whole stack of its own on free ports: real Kafka, real engine behind a proxy, gateway, workers, alerter, notifier, receivers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from pipeline.clickhouse.migrations import migrate
from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.sentinel import Sentinel
from pipeline.runtime.settings import ClickHouse, Settings
from pipeline.runtime.topics_admin import ensure_topics
from tests.chaos.plant import Plant, plant_views
from tests.chaos.processes import Exit, Process

_WRITER: Final = ("writer", "writer-of-the-chaos")
_ROUTING_KEY: Final = "0123456789abcdef0123456789abcdef"


@dataclass
class Stack:
    """The processes by what they are; `exits` are those that ended by themselves."""

    folder: Path
    sentinel: Sentinel
    kafka: str
    warehouse: ClickHouse
    proxy_url: str
    plant: Plant | None
    processes: dict[str, Process] = field(default_factory=dict)
    workers: list[Process] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)

    def add(self, name: str, command: list[str], ready: str, env: dict[str, str] | None = None) -> Process:
        """A process that `name` stands for; not started."""
        process = Process(name, [sys.executable, "-m", *command], env or {}, self.folder, ready, self.sentinel, self.exits)
        self.processes[name] = process
        return process

    def add_role(self, name: str, command: list[str], **env: str) -> Process:
        """A role of ours, which reaches ClickHouse through the proxy."""
        port = free_port()
        user, password = _WRITER
        settings = {
            "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.kafka,
            "TELEMETRY_CLICKHOUSE__URL": self.proxy_url,
            "TELEMETRY_CLICKHOUSE__USER": user,
            "TELEMETRY_CLICKHOUSE__PASSWORD": password,
            "TELEMETRY_HEALTH__PORT": str(port),
        }
        return self.add(name, command, f"http://{HOST}:{port}/readyz", settings | env)

    def add_worker(self, name: str) -> Process:
        """A worker with probes, and with the planted bug if there is one."""
        return self.add_role(name, ["tests.chaos.worker"], **({"CHAOS_PLANT": self.plant} if self.plant else {}))

    @property
    def gateway_url(self) -> str:
        return self.processes["gateway"].ready.removesuffix("/readyz")

    def logs(self) -> Iterator[Path]:
        return (self.folder / "logs").iterdir()


@asynccontextmanager
async def whole_stack(folder: Path, workers: int, plant: Plant | None, *, with_alerts: bool = True) -> AsyncIterator[Stack]:
    """Everything ready, and kept running until the block ends; without alerter, notifier and receivers if so wished."""
    for name in ("logs", "orders", "traces", "store"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sentinel = Sentinel()
    kafka, warehouse_url, proxy_url = (f"{HOST}:{free_port()}" for _ in range(3))
    warehouse = ClickHouse(url=f"http://{warehouse_url}", user=_WRITER[0], password=SecretStr(_WRITER[1]))
    stack = Stack(folder, sentinel, kafka, warehouse, f"http://{proxy_url}", plant)
    keepers: list[asyncio.Task[None]] = []
    try:
        await _servers(stack)
        _roles(stack, workers)
        if with_alerts:
            _alerting(stack)
        keepers += [asyncio.create_task(process.keep()) for process in stack.processes.values()]
        await all_ready(stack)
        yield stack
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await _stop(stack)
        await asyncio.to_thread(sentinel.close)


async def all_ready(stack: Stack) -> None:
    """TimeoutError names what is not."""
    await asyncio.gather(*(process.until_ready() for process in stack.processes.values() if not process.held))


async def _servers(stack: Stack) -> None:
    port, engine_port, proxy_port = (address.rsplit(":", 1)[1] for address in (stack.kafka, stack.warehouse.url, stack.proxy_url))
    broker = stack.add(
        "broker", ["pipeline.embedded.kafka", "--data-dir", str(stack.folder / "kafka"), "--port", port], f"kafka://{stack.kafka}"
    )
    writer = dict(zip(("TELEMETRY_CLICKHOUSE__USER", "TELEMETRY_CLICKHOUSE__PASSWORD"), _WRITER, strict=True))
    engine = ["pipeline.embedded.clickhouse_http", "--path", str(stack.folder / "store"), "--port", engine_port]
    warehouse = stack.add("warehouse", engine, f"{stack.warehouse.url}/ping", writer)
    proxy = stack.add("proxy", ["tests.chaos.proxy", proxy_port, engine_port], f"{stack.proxy_url}/ping")
    for server in (broker, warehouse, proxy):
        server.start()
    await asyncio.gather(broker.until_ready(), warehouse.until_ready(), proxy.until_ready())
    await asyncio.gather(ensure_topics(stack.kafka), migrate(Settings(clickhouse=stack.warehouse)))
    if stack.plant is Plant.MERGE_BY_LAST:
        await plant_views(stack.warehouse)


def _roles(stack: Stack, workers: int) -> None:
    gateway = stack.add_role("gateway", ["tests.chaos.gateway"])
    gateway.env = {**gateway.env, "TELEMETRY_GATEWAY__PORT": gateway.env["TELEMETRY_HEALTH__PORT"]}
    stack.workers = [stack.add_worker(f"worker-{number}") for number in range(workers)]


def _alerting(stack: Stack) -> None:
    receivers = {name: f"http://{HOST}:{free_port()}" for name in ("slack", "pagerduty")}
    for name, url in receivers.items():
        record = str(stack.folder / f"{name}.ndjson")
        stack.add(name, [f"tests.receivers.{name}", "--port", url.rsplit(":", 1)[1], "--record", record], f"{url}/received")
    addresses = {f"TELEMETRY_RECEIVERS__{name}__URL": f"{receivers['slack']}/services/T000/B000/secret" for name in _slack_channels()}
    pager = {"TELEMETRY_RECEIVERS__PAGERDUTY__URL": f"{receivers['pagerduty']}/v2/enqueue"}
    pager["TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY"] = _ROUTING_KEY
    stack.add_role("alerter", ["pipeline.cli.main", "alerter"])
    stack.add_role("notifier", ["pipeline.cli.main", "notifier"], **addresses, **pager)


def _slack_channels() -> list[str]:
    from alerting.config.load import load_config

    return [name.upper().replace("-", "_") for name, receiver in load_config().receivers.items() if receiver.kind == "slack"]


async def _stop(stack: Stack) -> None:
    """Roles first: they drain into the servers."""
    servers = [process for name, process in stack.processes.items() if name in ("broker", "warehouse", "proxy")]
    roles = [process for process in stack.processes.values() if process not in servers]
    for group in (roles, servers):
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in group))


def facts(stack: Stack) -> str:
    """Where everything is, for a person who looks into a run that was kept."""
    return json.dumps({"kafka": stack.kafka, "warehouse": stack.warehouse.url, "proxy": stack.proxy_url, "gateway": stack.gateway_url})
