"""Our worker beside what else could do its work: one broker, one engine, the same batches of events, one core for the measured process.

A run: topics and tables anew, start the process on its core, give it 24,000 events and wait until they are stored, hold it still, append
the events, read its CPU time, let it go (the clock starts), and wait until the last row and the last pane are stored. So imports,
connections and joining the group are outside for everybody, and nobody's clock is read but ours.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.bench import Bench, Row
from tests.bench.check import wait_stored, wrong_panes, wrong_rows
from tests.bench.events import Reckoning, Spec, events
from tests.bench.figures import Run, summary
from tests.bench.fill import Batches, build
from tests.bench.measured import Died, Measured
from tests.bench.rig import ROOT, Rig

PYTHON: Final = ROOT / "build" / "peers-venv" / "bin" / "python"
WARM_UP: Final = 24_000
#: Stock Faust gets a fifth of the events: its cost per event does not depend on how many there are.
STOCK_SHARE: Final = 5
_START_WITHIN_S: Final = 60.0
_SLOWEST_PER_S: Final = 1_000
#: Held still for longer, a member of the group would be expelled.
_HELD_MAX_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """`file` is run in the peers' environment, '' is our worker; without `stores_panes` it tells its panes at its end."""

    who: str
    note: str
    file: str = ""
    stores_panes: bool = True
    share: int = 1


OURS: Final = Contestant("ours", "telemetry worker as it is: repeats, exposures, dead letters, audits, health and all")
STOCK: Final = Contestant(
    "stock Faust",
    f"less work: no repeats, histograms, pane topic, pane rows or exact commits; 1/{STOCK_SHARE} of the events",
    "stock_faust.py",
    stores_panes=False,
    share=STOCK_SHARE,
)
LOOP: Final = Contestant(
    "plain aiokafka loop", "no repeats, hashes, exposures, dead letters, resuming of panes or supervision", "plain_loop.py"
)
CONTESTANTS: Final = (
    OURS,
    STOCK,
    LOOP,
    Contestant("quixstreams", "work of the loop, in a sink at its checkpoints", "quix.py"),
    Contestant("bytewax", "work of the loop, in a sink in batches; without recovery: no offsets kept", "bytewax_flow.py"),
)


@dataclass(frozen=True, slots=True)
class Load:
    """Events ready to be sent, and what must come of them."""

    batches: Batches
    spec: Spec

    def reckon(self, reckoning: Reckoning) -> None:
        for _ in events(self.spec, reckoning):
            pass


def section(bench: Bench) -> dict[str, list[Row]]:
    """Everybody, in turn, `bench.rounds` times; each round begins with another one."""
    if not PYTHON.exists():
        raise SystemExit(f"{PYTHON.relative_to(ROOT)} is missing: `make bench` installs it")
    start_ms = int(time.time() * 1000) - 1000 * bench.events // Spec(0, 0).per_s
    bench.rig.reset()
    warm_up = load_of(bench.rig, Spec(WARM_UP, start_ms - 10_000, seed=1))
    loads = {share: load_of(bench.rig, Spec(bench.events // share, start_ms)) for share in {c.share for c in CONTESTANTS}}
    reckonings = {share: reckon(warm_up, load) for share, load in loads.items()}
    runs: list[Run] = []
    for number in range(bench.rounds):
        for place in range(len(CONTESTANTS)):
            contestant = CONTESTANTS[(number + place) % len(CONTESTANTS)]
            done = run(bench.rig, contestant, number + 1, warm_up, loads[contestant.share], reckonings[contestant.share])
            runs.append(done)
            figures = f"{done.events_per_s:9,.0f} events/s {done.cpu_us_per_event:6.1f} us {done.rss_mb:5.0f} MiB"
            bench.say(f"round {done.round} of {bench.rounds}  {done.who:20} {done.wrong or figures}")
    notes = {contestant.who: contestant.note for contestant in CONTESTANTS}
    return {"rows": summary(runs, STOCK.who, LOOP.who, notes), "runs": [one.row() for one in runs]}


def load_of(rig: Rig, spec: Spec) -> Load:
    """Batches of the events, ready for the broker that runs."""
    return Load(asyncio.run(build(rig.kafka, events(spec))), spec)


def reckon(*loads: Load) -> Reckoning:
    """What the panes must hold after all of `loads`."""
    reckoning = Reckoning()
    for load in loads:
        load.reckon(reckoning)
    return reckoning


def run(rig: Rig, contestant: Contestant, number: int, warm_up: Load, load: Load, reckoning: Reckoning) -> Run:
    """One contestant alone, on topics and tables anew."""
    rig.reset()
    panes_file = rig.folder / "panes.json"
    panes_file.unlink(missing_ok=True)
    measured = _start(rig, contestant, panes_file)
    count = load.batches.events
    try:
        wall_s, cpu_s = _measure(rig, contestant, measured, warm_up, load)
        peak = measured.peak_rss_mb()
        measured.stop()
        wrong = wrong_rows(rig, WARM_UP + count) or (
            wrong_panes(rig, reckoning) if contestant.stores_panes else _wrong_told(panes_file, reckoning)
        )
    except (TimeoutError, Died) as error:
        return Run(contestant.who, number, count, 1, 0, 0, " ".join(str(error).split()))
    finally:
        measured.stop()
    return Run(contestant.who, number, count, wall_s, cpu_s, peak, wrong)


def _start(rig: Rig, contestant: Contestant, panes_file: Path) -> Measured:
    if not contestant.file:
        return rig.start_worker()
    env = {
        "BENCH_KAFKA": rig.kafka,
        "BENCH_CLICKHOUSE": rig.clickhouse.url,
        "BENCH_CLICKHOUSE_USER": rig.clickhouse.user,
        "BENCH_CLICKHOUSE_PASSWORD": rig.clickhouse.password,
        "BENCH_PANES": str(panes_file),
        "PYTHONPATH": str(ROOT),
    }
    arguments = ["worker", "--loglevel", "WARN"] if contestant is STOCK else []
    command = [str(PYTHON), f"tests/bench/peers/{contestant.file}", *arguments]
    return rig.start(contestant.file.removesuffix(".py"), command, rig.cores.worker, env)


def _measure(rig: Rig, contestant: Contestant, measured: Measured, warm_up: Load, load: Load) -> tuple[float, float]:
    """Wall and CPU seconds from the first event to the last row."""

    def stored(events_in_all: int, within_s: float, alive: Callable[[], None]) -> float:
        return wait_stored(rig, events_in_all, contestant.stores_panes, within_s, alive)

    asyncio.run(warm_up.batches.send(rig.kafka))
    stored(WARM_UP, _START_WITHIN_S, measured.check)
    measured.pause()
    held_at = time.monotonic()
    asyncio.run(load.batches.send(rig.kafka))
    if (held_s := time.monotonic() - held_at) > _HELD_MAX_S:
        raise TimeoutError(f"appending the events took {held_s:.1f} s: set BENCH_EVENTS lower")
    cpu_before, began = measured.cpu_s(), time.monotonic()
    measured.resume()
    ended = stored(WARM_UP + load.batches.events, _START_WITHIN_S + load.batches.events / _SLOWEST_PER_S, measured.check)
    return ended - began, measured.cpu_s() - cpu_before


def _wrong_told(panes_file: Path, reckoning: Reckoning) -> str:
    if not panes_file.exists():
        return "it did not tell its panes"
    told = {(event_type, start_ms): count for event_type, start_ms, count in json.loads(panes_file.read_text("utf-8"))}
    return "" if told == reckoning.per_type() else "the panes it told differ from what was counted"
