"""`python -m tests.chaos.alerting.run --seeds 1-3`: incidents, while whoever pages about them is killed and frozen.

Exit 0 only if every seed is green. A run without kills, zombies, retries or duplicates that were absorbed proves nothing and does not
count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from tests.chaos.alerting.attack import Attack
from tests.chaos.alerting.load import Load
from tests.chaos.alerting.oracle import judge
from tests.chaos.alerting.plant import Plant
from tests.chaos.alerting.receivers import receivers
from tests.chaos.alerting.script import incidents
from tests.chaos.alerting.stack import all_ready, stack
from tests.chaos.alerting.strikes import strikes
from tests.chaos.alerting.world import World, at_rest, read_traces
from tests.chaos.oracle_report import Report
from tests.chaos.runs import Judged, in_folder, say, seeds_of

INCIDENTS: Final = 50
#: In which incidents begin.
ONSETS_S: Final = 60
#: Of the last one: it is broken, its window goes on, it keeps firing, and something is late.
LASTS_S: Final = 90
_QUIET_WITHIN_S: Final = 120.0
_AROUND_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Options:
    """One run. When nobody is struck any more receivers go on failing for `well_after_s`: what was put off is delivered to them."""

    seed: int
    incidents: int = INCIDENTS
    onsets_s: int = ONSETS_S
    well_after_s: float = 30.0
    plant: Plant | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Judged):
    """What came of it."""

    COUNTS: ClassVar[tuple[str, ...]] = ("kills", "freezes", "zombies", "retries", "resent", "duplicates_absorbed")

    seconds: float

    def __str__(self) -> str:
        numbers = ", ".join(f"{self.report.counters.get(name, 0)} {name.replace('_', ' ')}" for name in ("incidents", *self.COUNTS))
        return f"{numbers}, {self.seconds:.0f} s, {self.verdict}"


async def attacked(options: Options, folder: Path) -> Outcome:
    """One run in `folder`, from nothing to the verdict."""
    began, wrong = time.monotonic(), incidents(options.seed, options.incidents, options.onsets_s)
    seconds = options.onsets_s + LASTS_S
    async with (
        asyncio.timeout(seconds + _QUIET_WITHIN_S + _AROUND_S),
        receivers(options.seed, folder / "asks.ndjson") as office,
        stack(folder, office, options.plant) as running,
    ):
        load, attack = Load(running.kafka, options.seed, wrong), Attack(running, say)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(seconds))
            group.create_task(attack.run(strikes(options.seed, seconds - 10)))
        await all_ready(running)
        asyncio.get_running_loop().call_later(options.well_after_s, office.get_well)
        topics, unquiet = await at_rest(running.kafka, wrong, _QUIET_WITHIN_S)
        world = World(
            wrong,
            topics.alerts,
            topics.escalations,
            topics.deliveries,
            office.asks,
            list(office.slack.messages.values()),
            load.acks,
            read_traces(folder / "traces"),
            attack.sleeps,
            unquiet,
        )
    report = judge(world)
    kills = sum(count for kind, count in attack.done.items() if "KILL" in kind)
    struck = {"kills": kills, "freezes": attack.done.total() - kills, "struck_at_places": attack.at_places.total()}
    report = Report(report.differences, report.counters | struck)
    (folder / "report.txt").write_text("\n".join([str(report), *report.differences]), "utf-8")
    (folder / "slack.json").write_text(json.dumps(world.messages, indent=1), "utf-8")
    _dump(folder, world)
    return Outcome(report, (*report.differences, *map(str, running.exits)), time.monotonic() - began)


def _dump(folder: Path, world: World) -> None:
    """For whoever looks into a run that was kept: the topics, one record a line, with who wrote it."""
    for name, records in (("alerts", world.alerts), ("escalations", world.escalations), ("deliveries", world.deliveries)):
        lines = [f"{said.offset}\t{said.at_ms}\t{said.process}\t{said.value.model_dump_json()}" for said in records]
        (folder / f"{name}.tsv").write_text("\n".join(lines), "utf-8")


def run_one(options: Options, *, keep: Callable[[Outcome], bool] = lambda outcome: not outcome.green) -> Outcome:
    """A run in a folder of its own; see `in_folder` for `keep`."""
    return in_folder(f"chaos-alerts-{options.seed}-", lambda folder: attacked(options, folder), keep)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 only if every seed is green and counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.alerting.run", description=__doc__)
    parser.add_argument("--seeds", default="1-3", help="1-3 or 3,7,9")
    parser.add_argument("--incidents", type=int, default=INCIDENTS)
    parser.add_argument("--onsets-s", type=int, default=ONSETS_S, help="seconds in which incidents begin")
    parser.add_argument("--plant", type=Plant, choices=list(Plant), help="a bug, to see that it is found")
    parser.add_argument("--keep", action="store_true", help="keep logs, traces and what was read, also when it is green")
    given = parser.parse_args(argv)
    red = []
    for seed in seeds_of(given.seeds):
        say(f"seed {seed}")
        outcome = run_one(
            Options(seed, given.incidents, given.onsets_s, plant=given.plant), keep=lambda outcome: given.keep or not outcome.green
        )
        say(str(outcome.report))
        say(f"seed {seed}: {'green' if outcome.green else 'RED'}: {outcome}")
        red += [] if outcome.green else [seed]
    say(f"{len(red)} red: {', '.join(map(str, red))}" if red else "every seed is green")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
