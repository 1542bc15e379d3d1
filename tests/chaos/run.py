"""`python -m tests.chaos.run --seeds 1-20`: load and faults at the same time, then an oracle; exit 0 only if every seed is green.

A run in which no kill met a chunk in flight, nothing was written twice, or no commit was refused proves nothing and does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pipeline.embedded.sentinel import Sentinel
from tests.chaos.attack import Attack
from tests.chaos.faults import BOUNDARIES, Fault, as_json
from tests.chaos.oracle import Where, judge_world
from tests.chaos.oracle_read import read_world
from tests.chaos.oracle_trace import read_traces
from tests.chaos.plant import Plant
from tests.chaos.runs import Judged, in_folder, say, seeds_of
from tests.chaos.schedule import schedule, workers_of
from tests.chaos.sent import Sent
from tests.chaos.stack import Stack, all_ready, facts, whole_stack
from tests.chaos.traffic import Traffic

EVENTS_PER_S: Final = 400.0
#: With what a process may end by itself: it is started while the broker is away.
_MAY_END: Final = "no Kafka broker answers"
_PLACES: Final = "died or froze "
_QUIET_WITHIN_S: Final = 150.0
_AROUND_S: Final = 400.0  # start, end, and everything that waits in between, for a run that is stuck


@dataclass(frozen=True, slots=True)
class Options:
    """One run."""

    seed: int
    seconds: float
    workers: int
    plant: Plant | None = None
    with_alerts: bool = True


@dataclass(frozen=True, slots=True)
class Outcome(Judged):
    """What came of it; `at_effects` are the places where an order was obeyed."""

    COUNTS: ClassVar[tuple[str, ...]] = ("kills_in_flight", "physical_duplicates", "commits_refused")

    kills: int
    at_effects: list[str]
    quiet_s: float

    def __str__(self) -> str:
        counters = self.report.counters
        return (
            f"{counters.get('copies', 0)} sent, {self.kills} kills, {counters.get('kills_in_flight', 0)} with chunks in flight, "
            f"{counters.get('physical_duplicates', 0)} physical duplicates absorbed, {counters.get('commits_refused', 0)} commits refused, "
            f"quiet after {self.quiet_s:.0f} s, {self.verdict}"
        )


async def attacked(options: Options, folder: Path, faults: list[Fault]) -> Outcome:
    """One run in `folder`, from nothing to the verdict."""
    (folder / "schedule.ndjson").write_text(as_json(faults), "utf-8")
    async with (
        asyncio.timeout(options.seconds + _QUIET_WITHIN_S + _AROUND_S),
        whole_stack(folder, options.workers, options.plant, with_alerts=options.with_alerts) as stack,
    ):
        (folder / "stack.json").write_text(facts(stack), "utf-8")
        sent, attack = Sent(), Attack(stack, say)
        traffic = Traffic(
            sent,
            options.seed,
            kafka=stack.kafka,
            gateway_url=lambda: stack.gateway_url,
            events_per_s=EVENTS_PER_S,
            with_incident=options.with_alerts,
        )
        say(f"      {options.workers} workers, {options.seconds:.0f} s of load")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(traffic.run(options.seconds))
                group.create_task(attack.run(faults))
        finally:
            sent.dump(folder / "sent.ndjson")
        await all_ready(stack)
        await asyncio.to_thread(stack.processes["gateway"].stop)  # it says what it accepted, and then nothing comes any more
        began = time.monotonic()
        where = _where(stack, with_alerts=options.with_alerts)
        world = await read_world(where, with_incident=sent.incident is not None, deadline_s=_QUIET_WITHIN_S)
        quiet_s = time.monotonic() - began
        report = judge_world(sent, world, read_traces(folder / "traces"), attack.killed)
        (folder / "report.txt").write_text(str(report), "utf-8")
    ended_wrongly = [str(ended) for ended in stack.exits if not ended.line.startswith(_MAY_END)]
    differences = (*report.differences, *ended_wrongly, *attack.stubborn)
    return Outcome(report, differences, len(attack.killed), sorted(attack.at_effects), quiet_s)


def _where(stack: Stack, *, with_alerts: bool) -> Where:
    user, password = stack.warehouse.user or "", stack.warehouse.password.get_secret_value()
    folder = stack.folder
    records = {name: folder / f"{name}.ndjson" for name in ("slack", "pagerduty")}
    return Where(stack.kafka, stack.warehouse.url, user, password, traces=folder / "traces", with_alerts=with_alerts, **records)


def run_one(options: Options, faults: list[Fault], *, keep: Callable[[Outcome], bool] = lambda outcome: not outcome.green) -> Outcome:
    """A run in a folder of its own; see `in_folder` for `keep`."""
    return in_folder(f"chaos-{options.seed}-", lambda folder: attacked(options, folder, faults), keep)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every seed is green and counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", default="1-20", help="1-20 or 3,7,9")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, choices=(2, 3))
    parser.add_argument("--jobs", type=int, default=1, help="seeds that run at the same time")
    parser.add_argument("--plant", type=Plant, choices=list(Plant), help="a bug, to see that it is found")
    parser.add_argument("--keep", action="store_true", help="keep logs, traces and the ledger of what was sent, also when it is green")
    arguments = parser.parse_args(argv)
    if arguments.seed is None:
        return asyncio.run(_many(arguments))
    seed = arguments.seed
    options = Options(seed, arguments.seconds, arguments.workers or workers_of(seed), arguments.plant)
    faults = schedule(seed, options.seconds, options.workers)
    outcome = run_one(options, faults, keep=lambda outcome: arguments.keep or not outcome.green)
    for difference in outcome.differences:
        say(difference)
    say(_PLACES + ", ".join(outcome.at_effects))
    say(f"seed {seed}: {'green' if outcome.green else 'RED'}: {outcome}")
    return 0 if outcome.green else 1


async def _many(arguments: argparse.Namespace) -> int:
    """Each seed in a process of its own."""
    turns = asyncio.Semaphore(arguments.jobs)
    seeds = seeds_of(arguments.seeds)
    passed_on = ["--seconds", str(arguments.seconds)]
    passed_on += ["--workers", str(arguments.workers)] if arguments.workers else []
    passed_on += ["--plant", arguments.plant] if arguments.plant else []
    passed_on += ["--keep"] if arguments.keep else []

    sentinel = Sentinel()

    places: set[str] = set()

    async def one(seed: int) -> int:
        async with turns:
            return await _run_seed(seed, passed_on, sentinel, places, prefix=f"{seed:3} | " if arguments.jobs > 1 else "")

    codes = await asyncio.gather(*(one(seed) for seed in seeds))
    red = [seed for seed, code in zip(seeds, codes, strict=True) if code]
    await asyncio.to_thread(sentinel.close)
    spared = [str(point) for point in BOUNDARIES if str(point) not in places]
    say(
        f"died or froze at {len(BOUNDARIES) - len(spared)} of {len(BOUNDARIES)} boundaries"
        + (f", not {', '.join(spared)}" if spared else "")
    )
    say(f"{len(seeds) - len(red)} of {len(seeds)} seeds green" + (f", red: {', '.join(map(str, red))}" if red else ""))
    return 1 if red else 0


async def _run_seed(seed: int, passed_on: list[str], sentinel: Sentinel, places: set[str], prefix: str) -> int:
    say(f"seed {seed}")
    command = [sys.executable, "-m", "tests.chaos.run", "--seed", str(seed), *passed_on]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    sentinel.watch(process.pid)
    try:
        async for line in process.stdout:
            text = line.decode().rstrip()
            say(prefix + text)
            if text.startswith(_PLACES):
                places.update(text.removeprefix(_PLACES).split(", "))
        return await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        sentinel.forget(process.pid)


if __name__ == "__main__":
    sys.exit(main())
