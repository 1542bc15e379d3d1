"""What a run of either attack comes to: a verdict that may not count, and a folder that stays when somebody has to look into it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tests.chaos.oracle_report import Report

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judged:
    """`differences` are the oracle's and the runner's own; `COUNTS` what must have happened for a run to count, by its counters."""

    COUNTS: ClassVar[tuple[str, ...]] = ()

    report: Report
    differences: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """What did not happen, so that the run does not count."""
        return [name for name in self.COUNTS if not self.report.counters.get(name)]

    @property
    def green(self) -> bool:
        return not self.differences and not self.missing

    @property
    def verdict(self) -> str:
        """How many differences, and why the run does not count if it does not."""
        reserve = f"; does not count: {', '.join(self.missing)} zero" if self.missing else ""
        return f"{len(self.differences)} differences{reserve}"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def in_folder(prefix: str, run: Callable[[Path], Coroutine[Any, Any, T]], keep: Callable[[T], bool]) -> T:
    """`run` in a folder of its own, which stays for whoever looks into it when `keep` says so, or when there is no outcome."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    kept = True
    try:
        outcome = asyncio.run(run(folder))
        kept = keep(outcome)
        return outcome
    finally:
        if kept:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def laws_of(differences: Iterable[str]) -> set[str]:
    """The laws that were broken: the first word of each difference."""
    return {line.split(" ", 1)[0] for line in differences}


def seeds_of(text: str) -> list[int]:
    """The seeds of "1-20" or "3,7,9"."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds
