"""A role of its own process whose effects are lines of a file: "<partition> <offset> <value>", written before `done()`.

Run as `python -m tests.integration.runtime.effects_worker`; the environment variable EFFECTS holds `Plan` as JSON. Deleting the
file named by `hold` lets a worker go on that stands still in the middle of its first chunk.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.runtime.chunk_source import ChunkSource, Limits
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.errors import Stop
from pipeline.runtime.health import HealthServer
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.settings import load_settings
from pipeline.runtime.shell import ShellApp, run


@dataclass
class Plan:
    bootstrap_servers: str
    topic: str
    effects: str
    pause_s: float = 0.0
    hold: str | None = None
    fault: str | None = None
    caught_up: str | None = None
    limits: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {"EFFECTS": json.dumps(asdict(self))}


@dataclass(frozen=True)
class Effects:
    """Writes the effect of each record as one line, in pieces, so that a kill can fall between two of them."""

    plan: Plan

    async def of(self, chunk: Chunk) -> None:
        for piece in _pieces(chunk.records, 20):
            with Path(self.plan.effects).open("a") as file:
                file.writelines(f"{one.partition} {one.offset} {one.value.decode()}\n" for one in piece)
            await asyncio.sleep(self.plan.pause_s)
            await self._held()

    async def _held(self) -> None:
        while self.plan.hold is not None and Path(self.plan.hold).exists():
            await asyncio.sleep(0.01)


def _pieces(records: Any, size: int) -> Iterator[Any]:
    return (records[start : start + size] for start in range(0, len(records), size))


async def _note_caught_up(source: ChunkSource, folded: dict[int, int], path: Path) -> None:
    """Each claim, the moment it is made: "<partition> <position> <caught up at ms>"."""
    last = None
    with path.open("a", buffering=1) as file:
        while True:
            for tp in source.owned():
                position = folded.get(tp.partition, 0)
                claim = (tp.partition, position, source.caught_up_at_ms(tp, position))
                if claim[2] is not None and claim != last:
                    last = claim
                    file.write("{} {} {}\n".format(*claim))
            await asyncio.sleep(0)


def build(plan: Plan) -> ShellApp:
    settings = load_settings()
    app = ShellApp("worker", settings)
    channel = app.channel(maxsize=0)
    source = ChunkSource(
        channel,
        plan.topic,
        bootstrap_servers=plan.bootstrap_servers,
        group_id=plan.topic,
        limits=Limits(**plan.limits),
        clock=SystemClock(),
    )
    app.service(HealthServer(settings.health.host, settings.health.port, waiting_for=source.not_ready))
    app.service(source)
    effects = Effects(plan)
    folded: dict[int, int] = {}

    @app.agent(channel)
    async def fold(stream: Any) -> None:
        async for chunk in stream:
            if chunk.abandoned:
                continue
            async with source.guard(chunk):
                await effects.of(chunk)
                folded[chunk.tp.partition] = chunk.last_offset + 1
                if plan.fault != "never done":
                    chunk.done()

    @app.task
    async def other_work() -> None:
        if plan.caught_up is not None:
            await _note_caught_up(source, folded, Path(plan.caught_up))
        if plan.fault == "stop with the password":
            raise Stop(f"cannot log in with {settings.clickhouse.password.get_secret_value()}")
        if plan.fault == "bug":
            secret_of_a_user = "u-42 is allergic to nuts"
            raise KeyError(len(secret_of_a_user))

    return app


if "EFFECTS" in os.environ:
    app = build(Plan(**json.loads(os.environ["EFFECTS"])))

if __name__ == "__main__":
    run(app)
