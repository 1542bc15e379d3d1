"""Makes effects durable in their order, and says done. While ClickHouse is away it holds them, then lets go of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from mode import Service

from pipeline.agents import metrics
from pipeline.agents.effects import Effects, Lines
from pipeline.agents.outlet import Outlet
from pipeline.agents.rows import dead_letter_row, exposure_row, pane_rows, progress_row, stale_mark_row
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import (
    COUNTED_EVENTS,
    DEAD_LETTERS_RAW,
    EVENTS_RAW,
    FIRST_EXPOSURES_RAW,
    PANES_RAW,
    PARTITION_PROGRESS,
    STALE_HOURS,
    Table,
)
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message
from schemas.dead_letter import DeadLetter
from schemas.topics import DLQ

log: Final = structlog.get_logger(__name__)

#: So long effects are kept for a ClickHouse that is away; then their memory is given back, and they are read again.
PATIENCE_S: Final = 10.0


class Writer(Service):
    """Takes effects in flush order. `away` is true from when it let go of some until the partitions have been rewound.

    `rewind_all` must end every ownership at once: chunks let go of must never be followed by later progress.
    """

    def __init__(
        self, client: Client, outlet: Outlet, clock: Clock, rewind_all: Callable[[], Any], is_half_full: Callable[[], bool], **service: Any
    ) -> None:
        super().__init__(**service)
        self._client, self._outlet, self._clock = client, outlet, clock
        self._rewind_all, self._is_half_full = rewind_all, is_half_full
        self._waiting: list[Effects] = []
        self._arrived = asyncio.Event()
        self.away = False
        self.times_let_go = 0
        self.failing_since: float | None = None

    def accept(self, effects: Effects, times_let_go: int) -> None:
        """Take over the effects of one flush that began when `times_let_go` stood so: later they would be written over a hole."""
        if self.away or times_let_go != self.times_let_go:
            effects.release()
            return
        self._waiting.append(effects)
        self._arrived.set()

    @Service.task
    async def _write_what_arrives(self) -> None:
        while not self.should_stop:
            await self._arrived.wait()
            self._arrived.clear()
            effects = Effects()
            for waiting in self._waiting:
                effects.add(waiting)
            self._waiting = []
            await self._write_or_let_go(effects)

    async def _write_or_let_go(self, effects: Effects) -> None:
        while True:
            try:
                await self._write(effects)
                self.failing_since = None
                return
            except RetryAfter as away:
                now = self._clock.monotonic()
                self.failing_since = now if self.failing_since is None else self.failing_since
                log.warning("ClickHouse does not take rows", reason=str(away), failing_s=round(now - self.failing_since, 1))
                if self._is_half_full() or now - self.failing_since > PATIENCE_S:
                    await self._let_go(effects)
                    return
                await asyncio.sleep(away.seconds)

    async def _let_go(self, effects: Effects) -> None:
        """Panes go on without ClickHouse; everything let go of is read again once it answers."""
        self.away = True
        self.times_let_go += 1
        metrics.WAREHOUSE_AWAY.set(1)
        effects.release()
        for waiting in self._waiting:
            waiting.release()
        self._waiting = []
        while not self.should_stop:
            try:
                await self._client.query("SELECT 1")
                break
            except RetryAfter as away:
                await asyncio.sleep(away.seconds)
        await self._rewind_all()
        self.away = False
        self.failing_since = None
        metrics.WAREHOUSE_AWAY.set(0)

    async def _write(self, effects: Effects) -> None:
        """Every step may be repeated alone or with all before it; a later one says that the earlier ones are there."""
        await self._lines(EVENTS_RAW, effects.event_rows)
        await self._lines(COUNTED_EVENTS, effects.counted_rows)
        if not effects.dead_letters_sent:
            await self._outlet.send([_dead_letter(letter) for letter in effects.dead_letters])
            effects.dead_letters_sent = True
        await self._rows(DEAD_LETTERS_RAW, (dead_letter_row(letter) for letter in effects.dead_letters))
        await self._rows(FIRST_EXPOSURES_RAW, (exposure_row(key, seen) for key, seen in effects.exposures.items()))
        await self._rows(STALE_HOURS, (stale_mark_row(*key, offset) for key, offset in effects.stale.items()))
        await self._rows(PANES_RAW, pane_rows(effects.panes))
        now_ms = self._clock.now_ms()
        await self._rows(PARTITION_PROGRESS, (progress_row(progress, now_ms) for progress in effects.progress.values()))
        for chunk in effects.chunks:
            chunk.done()

    async def _rows(self, table: Table, rows: Iterable[bytes]) -> None:
        lines = Lines()
        for row in rows:
            lines.append(row)
        await self._lines(table, lines)

    async def _lines(self, table: Table, lines: Lines) -> None:
        if lines.count:
            with metrics.FLUSHES.labels(table.name).time():
                await insert(self._client, table, bytes(lines.text), lines.count)


def _dead_letter(letter: DeadLetter) -> Message:
    return Message(DLQ.name, value=letter.value, key=letter.key, headers=letter.headers())
