"""A ChunkSource in this process, with an agent that does what a test says and notes what it saw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.runtime.chunk_source import ChunkSource, Limits
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.resume import ResumeAt, at_committed
from pipeline.runtime.settings import Settings
from pipeline.runtime.shell import ShellApp

QUICK = Limits(chunk_records=100, commit_interval_s=0.05, session_timeout_s=6.0, retry_delay_s=0.05, log_end_interval_s=0.05)

Handle = Callable[[Chunk], Awaitable[None]]


@dataclass
class Reader:
    """`seen` is (partition, follows_on, last_offset) of each chunk that came; `applied` the offsets of those that were finished."""

    app: ShellApp
    source: ChunkSource
    seen: list[tuple[int, int, int]] = field(default_factory=list)
    applied: dict[int, list[int]] = field(default_factory=dict)

    @property
    def applied_count(self) -> int:
        return sum(len(offsets) for offsets in self.applied.values())

    def note(self, chunk: Chunk) -> None:
        self.applied.setdefault(chunk.tp.partition, []).extend(record.offset for record in chunk.records)


async def finish(chunk: Chunk) -> None:
    """The simplest of effects: none."""
    chunk.done()


@asynccontextmanager
async def reading(
    bootstrap_servers: str,
    topic: str,
    handle: Handle = finish,
    *,
    resume: ResumeAt = at_committed,
    limits: Limits = QUICK,
    waiting_for: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[Reader]:
    """Start a member of the group named like its topic; stop it at the end, whatever happened."""
    app = ShellApp("reader", Settings())
    channel = app.channel(maxsize=0)
    source = ChunkSource(
        channel, topic, bootstrap_servers=bootstrap_servers, group_id=topic, resume=resume, limits=limits, waiting_for=waiting_for
    )
    reader = Reader(app, source)
    app.service(source)

    @app.agent(channel)
    async def fold(stream: Any) -> None:
        async for chunk in stream:
            reader.seen.append((chunk.tp.partition, chunk.follows_on, chunk.last_offset))
            if chunk.abandoned:
                continue
            async with source.guard(chunk):
                before = list(chunk.records)
                await handle(chunk)
                reader.applied.setdefault(chunk.tp.partition, []).extend(record.offset for record in before)

    await app.start()
    try:
        yield reader
    finally:
        await app.stop()
