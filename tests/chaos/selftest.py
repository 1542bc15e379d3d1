"""`make chaos-selftest`: the oracle goes red, for the right reason, without each of four safeguards, and is green with all of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.faults import Fault, Kind, Order, Point
from tests.chaos.plant import Plant
from tests.chaos.run import Options, run_one
from tests.chaos.runs import laws_of, say

_SEED: Final = 7
#: Where a first copy is lost a later one counts in its place, with its own time of receipt or content: few panes are too high by that.
FEW_RATIO: Final = 0.1
_NUMBER: Final = r"(?:count (\d+)|\d+ of (\d+)|(nothing))"
_CHANGE: Final = re.compile(rf"L4 (\S+) .*want {_NUMBER}.* got {_NUMBER}")


@dataclass(frozen=True, slots=True)
class Case:
    """A run, and what its differences must be like. `wrong` says what is not as it must be, None when all is."""

    name: str
    plant: Plant | None
    seconds: float
    faults: Sequence[Fault]
    expected: str
    wrong: Callable[[Sequence[str]], str | None]


def changes(differences: Sequence[str], *names: str) -> list[int]:
    """By how much numbers of the objects `names` are too high."""
    found = [match for line in differences if (match := _CHANGE.match(line)) and match.group(1) in names]
    return [_number(match.groups()[4:]) - _number(match.groups()[1:4]) for match in found]


def _number(groups: Sequence[str | None]) -> int:
    return int(next(filter(str.isdigit, filter(None, groups)), "0"))


def lost(differences: Sequence[str]) -> str | None:
    """Without the ledger: events are lost, because their offsets were committed before they were durable."""
    if missing := {"L1", "L6"} - laws_of(differences):
        return f"no difference of {', '.join(sorted(missing))}"
    if not any("is neither in events nor in dead_letters" in line for line in differences):
        return "no acknowledged event is lost"
    by = changes(differences, "panes")
    if sum(one > 0 for one in by) > FEW_RATIO * len(by):
        return f"{sum(one > 0 for one in by)} panes are too high"
    return "events are there twice" if "L2" in laws_of(differences) else None


def panes_too_high(differences: Sequence[str]) -> str | None:
    """Without the offset guard: what is read again is counted again, in panes only."""
    return _too_high(differences) or _others(differences, {"L4"})


def panes_double(differences: Sequence[str]) -> str | None:
    """Without the repeat filter: repeats count, and leave rows (L5), and an id with two contents is there with both (L2, L3).

    Rows of repeats give way to the first copy, and nobody said that they were repeats: to the count of accepted events they are lost (L8).
    """
    return _too_high(differences) or _others(differences, {"L2", "L3", "L4", "L5", "L8"})


def _too_high(differences: Sequence[str]) -> str | None:
    by = changes(differences, "panes")
    if not by:
        return "every pane is right"
    return f"{sum(one <= 0 for one in by)} panes are not too high" if min(by) <= 0 else None


def windows_too_low(differences: Sequence[str]) -> str | None:
    """With partitions merged by last: windows lack what other partitions counted, and the panes themselves are right."""
    views = ("error_rate", "error_rate_total", "latency", "latency_total")
    for view in views:
        by = changes(differences, view)
        if not by:
            return f"{view} is right"
        if max(by) > 0:
            return f"{view} is too high"
    names = {line.split(" ", 2)[1] for line in differences if line.startswith("L4")}
    return f"differences in {', '.join(sorted(names - set(views)))}" if names - set(views) else _others(differences, {"L4"})


def nothing(differences: Sequence[str]) -> str | None:
    """With every safeguard: no difference."""
    return _others(differences, set())


def _others(differences: Sequence[str], allowed: set[str]) -> str | None:
    others = [line for line in differences if line.split(" ", 1)[0] not in allowed]
    return f"{len(others)} other differences, the first is: {others[0]}" if others else None


def _kill(at_s: float, worker: int, effect: str) -> Fault:
    return Fault(at_s, Kind.KILL_AT, worker, order=Order("kill", Point("after", effect)))


_KILLS: Final = (_kill(3.0, 0, "panes_raw"), _kill(7.0, 1, "panes_raw"))
_HANG_AND_KILLS: Final = (Fault(2.5, Kind.HANG, seconds=5.0), Fault(5.5, Kind.KILL, 0), Fault(6.0, Kind.KILL, 1))
CASES: Final = (
    Case("all safeguards", None, 12.0, (*_KILLS, *_HANG_AND_KILLS), "no difference", nothing),
    Case("ledger bypassed", Plant.LEDGER, 10.0, _HANG_AND_KILLS, "L1 lost events, L6 commits ahead", lost),
    Case("offset guard off", Plant.OFFSET_GUARD, 12.0, _KILLS, "L4 panes too high", panes_too_high),
    Case("repeat filter off", Plant.REPEATS, 6.0, (), "L4 panes too high by repeats", panes_double),
    Case("merge by last", Plant.MERGE_BY_LAST, 6.0, (), "L4 windows too low", windows_too_low),
)


def main() -> int:
    """The exit code: 0 only if the control is green and every planted bug is found for what it is."""
    failed = []
    for case in CASES:
        say(f"{case.name}: expected {case.expected}")
        options = Options(_SEED, case.seconds, 2, case.plant, with_alerts=False)
        faults = sorted(case.faults, key=lambda fault: fault.at_s)
        differences = run_one(options, faults, keep=lambda outcome: case.wrong(outcome.differences) is not None).differences  # noqa: B023
        wrong = case.wrong(differences)
        for line in differences[:3]:
            say(f"       {line}")
        say(f"{case.name}: {f'WRONG: {wrong}' if wrong else 'as expected'}, {len(differences)} differences")
        failed += [case.name] if wrong else []
    say(f"{len(CASES) - len(failed)} of {len(CASES)} as expected" + (f", not: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
