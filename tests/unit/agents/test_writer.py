"""When the writer keeps effects, lets go of them and has them read again, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest

from pipeline.agents import writer as writer_module
from pipeline.agents.effects import Effects
from pipeline.agents.writer import MAX_RESPITE_S, PATIENCE_HALF_FULL_S, PATIENCE_S, WRITE_INTERVAL_S, Writer
from pipeline.clickhouse.tables import EVENTS_RAW
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.ledger import Ledger
from tests.unit.runtime.records import TP, record


class Clock:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await _yield()


class Warehouse:
    """Takes blocks while `takes(table, rows)`; remembers what it was asked and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.takes: Callable[[str, int], bool] = lambda table, rows: True
        self.asked: list[tuple[float, str, int, bool]] = []

    async def insert_block(self, table: str, columns: Sequence[str], block: bytes, fmt: str, settings: Mapping[str, Any]) -> int:
        await _yield()
        rows = len(block.splitlines())
        taken = self.takes(table, rows)
        self.asked.append((self.clock.now, table, rows, taken))
        if not taken:
            raise RetryAfter("no", seconds=1.0)
        return rows


class Outlet:
    async def send(self, messages: Sequence[Any]) -> None:
        assert not messages


class Bench:
    """A writer with its surroundings; `rewound` is when everything was read again."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.warehouse = Warehouse(self.clock)
        self.half_full = False
        self.rewound: list[float] = []
        self.ledger = Ledger(TP, 0)
        self.writer = Writer(self.warehouse, Outlet(), self.clock, self._rewind, lambda: self.half_full)  # type: ignore[arg-type]

    async def _rewind(self) -> None:
        self.rewound.append(self.clock.now)
        self.ledger.abandon()
        self.ledger = Ledger(TP, self.ledger.committable)

    def flush(self, rows: int = 3) -> Effects:
        """Effects of one more chunk."""
        effects = Effects()
        offsets = range(self.ledger.expected, self.ledger.expected + rows)
        effects.chunks.append(self.ledger.deliver([record(offset) for offset in offsets], rows, self.clock.now))
        for offset in offsets:
            effects.event_rows.encode([(offset,)])
        return effects


async def _yield() -> None:
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    bench = Bench()

    async def sleep(seconds: float) -> None:
        await bench.clock.sleep(seconds)

    monkeypatch.setattr(writer_module, "asyncio", _AsyncioWith(sleep))
    monkeypatch.setattr(bench.writer, "sleep", sleep)
    async with _running(bench.writer):
        yield bench


class _AsyncioWith:
    """asyncio with another sleep, in the writer's module only."""

    def __init__(self, sleep: Callable[[float], Any]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@asynccontextmanager
async def _running(writer: Writer) -> AsyncIterator[None]:
    task = asyncio.create_task(writer._write_what_arrives.fun(writer))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def test_a_call_that_fails_once_lets_go_of_nothing_even_when_half_full(bench: Bench) -> None:
    """Being half full is normal at full speed: one refused call is repeated, and nothing is read again for it."""
    bench.half_full = True
    refusals = iter([False])
    bench.warehouse.takes = lambda table, rows: next(refusals, True)
    bench.writer.accept(bench.flush(), bench.writer.times_let_go)
    await until(lambda: bench.ledger.committable == 3)
    assert (bench.writer.times_let_go, bench.rewound, bench.writer.waiting_for()) == (0, [], None)


@pytest.mark.parametrize(("half_full", "patience_s"), [(True, PATIENCE_HALF_FULL_S), (False, PATIENCE_S)])
async def test_effects_are_kept_for_as_long_as_there_is_room_and_patience(bench: Bench, half_full: bool, patience_s: float) -> None:
    """While ClickHouse is away effects are kept, then let go of; when it takes rows again everything is read again, once."""
    bench.half_full = half_full
    bench.warehouse.takes = lambda table, rows: bench.clock.now > 100
    bench.writer.accept(bench.flush(), 0)
    await until(lambda: bench.writer.away)
    assert patience_s < bench.clock.now <= patience_s + 2
    assert (bench.ledger.records_open, bench.ledger.committable, bench.writer.waiting_for()) == (0, 0, "no")
    await until(lambda: bench.rewound)
    assert len(bench.rewound) == 1
    assert 100 < bench.rewound[0] < 103
    assert bench.writer.waiting_for() is None


async def test_a_clickhouse_that_answers_but_takes_no_rows_is_away(bench: Bench) -> None:
    """A full disk does not keep it from answering: nothing is read again before it has taken a row of what it refused."""
    bench.warehouse.takes = lambda table, rows: bench.clock.now > 600
    bench.writer.accept(bench.flush(rows=50), 0)
    await until(lambda: bench.rewound)
    assert len(bench.rewound) == 1
    assert bench.rewound[0] > 600
    probes = [ask for ask in bench.warehouse.asked if ask[0] > PATIENCE_S + 2]
    assert {(table, rows) for _, table, rows, _ in probes} == {("telemetry.events_raw", 1)}


async def test_reading_again_in_vain_becomes_rare(bench: Bench) -> None:
    """A ClickHouse that takes one row and never more is given longer and longer, so that panes are not always of the past."""
    bench.warehouse.takes = lambda table, rows: rows == 1
    while bench.clock.now < 900:
        rewinds = len(bench.rewound)
        bench.writer.accept(bench.flush(), bench.writer.times_let_go)
        await until(lambda rewinds=rewinds: len(bench.rewound) > rewinds)  # type: ignore[misc]
    between = [later - earlier for earlier, later in zip(bench.rewound, bench.rewound[1:], strict=False)]
    assert between[0] < between[1] < between[2] < between[3]
    assert MAX_RESPITE_S <= between[-1] <= MAX_RESPITE_S + PATIENCE_S + 5
    bench.warehouse.takes = lambda table, rows: True
    bench.writer.accept(bench.flush(), bench.writer.times_let_go)
    await until(lambda: bench.ledger.committable == 3)
    bench.warehouse.takes = lambda table, rows: rows == 1
    began = bench.clock.now
    bench.writer.accept(bench.flush(), bench.writer.times_let_go)
    await until(lambda: bench.rewound[-1] > began)
    assert bench.rewound[-1] - began < PATIENCE_S + 5, "success in between makes the next let-go the first again"


async def test_effects_from_before_are_not_written_after_a_let_go(bench: Bench) -> None:
    """What was on its way when effects were let go of would be written over a hole."""
    bench.warehouse.takes = lambda table, rows: bench.clock.now > 30
    late, times_let_go = bench.flush(), bench.writer.times_let_go
    bench.writer.accept(bench.flush(), times_let_go)
    await until(lambda: bench.rewound)
    bench.writer.accept(late, times_let_go)
    await _yield()
    assert late.chunks[0].records == ()
    assert [rows for _, _, rows, taken in bench.warehouse.asked if taken] == [1]


async def test_what_several_flushes_left_goes_in_together(bench: Bench) -> None:
    """After a write the next begins WRITE_INTERVAL_S later, with all that came meanwhile: inserts cost ClickHouse more than rows."""
    bench.writer.accept(bench.flush(), 0)
    await until(lambda: bench.ledger.committable == 3)
    bench.writer.accept(bench.flush(), 0)
    bench.writer.accept(bench.flush(), 0)
    await until(lambda: bench.ledger.committable == 9)
    writes = [(at, rows) for at, table, rows, _ in bench.warehouse.asked if table == EVENTS_RAW.name]
    assert [rows for _, rows in writes] == [3, 6]
    assert all(later - earlier >= WRITE_INTERVAL_S for (earlier, _), (later, _) in pairwise(writes))


async def test_a_writer_that_is_behind_does_not_wait(bench: Bench) -> None:
    """Half full it writes on at once, or the pause would cap the rate."""
    bench.half_full = True
    for _ in range(3):
        bench.writer.accept(bench.flush(), 0)
        await until(lambda: bench.ledger.committable == bench.ledger.expected)
    assert bench.clock.now == 0
