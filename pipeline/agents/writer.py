"""Makes effects durable in their order, and says done. While ClickHouse is away it holds them, then lets go of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import structlog
from mode import Service

from pipeline.agents import metrics
from pipeline.agents.effects import Effects, Lines
from pipeline.agents.outlet import Outlet
from pipeline.agents.rows import dead_letter_row, exposure_row, pane_rows, progress_row, stale_mark_row, user_day_row
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import Row, insert
from pipeline.clickhouse.tables import (
    ACCEPTED_RUNS,
    COUNTED_EVENTS,
    DEAD_LETTERS_RAW,
    EVENTS_RAW,
    FIRST_EXPOSURES_RAW,
    PANES_RAW,
    PARTITION_PROGRESS,
    STALE_HOURS,
    USER_DAYS_RAW,
    Table,
)
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message
from pipeline.runtime.waiting import Waiting
from schemas.dead_letter import DeadLetter
from schemas.topics import DLQ

log: Final = structlog.get_logger(__name__)

#: Writes begin at least so far apart: what several flushes left goes in together, because each insert costs ClickHouse more than its rows.
WRITE_INTERVAL_S: Final = 0.35
#: So long effects are kept for a ClickHouse that is away; then their memory is given back, and they are read again.
PATIENCE_S: Final = 10.0
#: So long when half of the memory there is for them is used: being busy is no reason to read everything again for one failed call.
PATIENCE_HALF_FULL_S: Final = 2.0
#: At most so long ClickHouse is left alone when it takes a row, and then not what is read again.
MAX_RESPITE_S: Final = 60.0

#: Dead letters on their way to Kafka at the same time.
LETTERS_AT_ONCE: Final = 1_000
LETTER_BYTES_AT_ONCE: Final = 4 << 20


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
        self._refusal = Waiting("writing rows to ClickHouse", clock)
        self._refused: tuple[Table, bytes] | None = None
        self._let_go_in_vain = 0
        self.away = False
        self.times_let_go = 0

    def waiting_for(self) -> str | None:
        """What ClickHouse said when it took no rows; None while it takes them."""
        return self._refusal.reason

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
            began = self._clock.monotonic()
            effects = Effects()
            for waiting in self._waiting:
                effects.add(waiting)
            self._waiting = []
            await self._write_or_let_go(effects)
            if not self._is_half_full():  # else it is behind, and waiting would cap the rate
                await self.sleep(max(0.0, began + WRITE_INTERVAL_S - self._clock.monotonic()))

    async def _write_or_let_go(self, effects: Effects) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self._write(effects)
            except RetryAfter as away:
                failing_s = self._refusal.goes_on(str(away), began)
                if failing_s > (PATIENCE_HALF_FULL_S if self._is_half_full() else PATIENCE_S):
                    await self._let_go(effects)
                    return
                await asyncio.sleep(away.seconds)
            else:
                self._refusal.over()
                self._let_go_in_vain = 0
                return

    async def _let_go(self, effects: Effects) -> None:
        """Panes go on without ClickHouse; everything let go of is read again once it takes rows."""
        log.warning("effects let go of: panes go on, rows are read again when ClickHouse takes them", records=effects.event_rows.count)
        self.away = True
        self.times_let_go += 1
        metrics.WAREHOUSE_AWAY.set(1)
        metrics.LET_GO.inc()
        effects.release()
        for waiting in self._waiting:
            waiting.release()
        self._waiting = []
        if self._let_go_in_vain:  # it took one row, and then not the rest: each rewind makes panes late, so there are few
            await self.sleep(min(2.0**self._let_go_in_vain, MAX_RESPITE_S))
        self._let_go_in_vain += 1
        await self._until_rows_are_taken()
        self._refusal.over()
        await self._rewind_all()
        self.away = False
        metrics.WAREHOUSE_AWAY.set(0)

    async def _until_rows_are_taken(self) -> None:
        """Answering is not enough (a full disk does not keep ClickHouse from it): it must take a row of what it refused."""
        assert self._refused is not None
        table, row = self._refused
        while not self.should_stop:
            try:
                await insert(self._client, table, row, 1)  # once more with the others, which every table bears
                return
            except RetryAfter as away:
                self._refusal.goes_on(str(away))
                await self.sleep(away.seconds)

    async def _write(self, effects: Effects) -> None:
        """Every step may be repeated alone or with all before it; a later one says that the earlier ones are there."""
        await self._lines(EVENTS_RAW, effects.event_rows)
        await self._lines(COUNTED_EVENTS, effects.counted_rows)
        await self._lines(ACCEPTED_RUNS, effects.accepted_rows)
        if not effects.dead_letters_sent:
            for letters in _groups(effects.dead_letters):
                await self._outlet.send([_dead_letter(letter) for letter in letters])
            effects.dead_letters_sent = True
        await self._rows(DEAD_LETTERS_RAW, (dead_letter_row(letter) for letter in effects.dead_letters))
        await self._rows(FIRST_EXPOSURES_RAW, (exposure_row(key, seen) for key, seen in effects.exposures.items()))
        await self._rows(USER_DAYS_RAW, map(user_day_row, effects.user_days))
        await self._rows(STALE_HOURS, (stale_mark_row(*key, offset) for key, offset in effects.stale.items()))
        await self._rows(PANES_RAW, pane_rows(effects.panes))
        now_ms = self._clock.now_ms()
        await self._rows(PARTITION_PROGRESS, (progress_row(progress, now_ms) for progress in effects.progress.values()))
        for chunk in effects.chunks:
            chunk.done()

    async def _rows(self, table: Table, rows: Iterable[Row]) -> None:
        lines = Lines()
        lines.encode(list(rows))
        await self._lines(table, lines)

    async def _lines(self, table: Table, lines: Lines) -> None:
        if lines.count:
            with metrics.FLUSHES.labels(table.name).time():
                try:
                    await insert(self._client, table, lines.text(), lines.count)
                except RetryAfter:
                    self._refused = table, lines.first
                    raise


def _groups(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Runs of letters that a producer may hold at once: with its headers and what else belongs to it, each is a copy of 2 kB and more."""
    group: list[DeadLetter] = []
    size = 0
    for letter in letters:
        group.append(letter)
        size += len(letter.value) + sum(len(name) + len(value) for name, value in letter.record_headers)
        if len(group) == LETTERS_AT_ONCE or size > LETTER_BYTES_AT_ONCE:
            yield group
            group, size = [], 0
    yield group


def _dead_letter(letter: DeadLetter) -> Message:
    return Message(DLQ.name, value=letter.value, key=letter.key, headers=letter.headers())
