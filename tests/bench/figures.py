"""From runs to rows: medians, and ratios taken within each round, so that what the machine did meanwhile falls out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One contestant in one round. `wrong` says what of the work was not done; then the figures mean nothing."""

    who: str
    round: int
    events: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    wrong: str = ""

    @property
    def events_per_s(self) -> float:
        return self.events / self.wall_s

    @property
    def cpu_us_per_event(self) -> float:
        return self.cpu_s / self.events * 1e6

    def row(self) -> Row:
        return {
            "round": self.round,
            "who": self.who,
            "events": self.events,
            "events_per_s": None if self.wrong else round(self.events_per_s),
            "cpu_us_per_event": None if self.wrong else round(self.cpu_us_per_event, 2),
            "rss_mb": None if self.wrong else round(self.rss_mb),
            "wrong": self.wrong,
        }


def ratio(runs: Sequence[Run], others: Sequence[Run], figure: str) -> float | None:
    """The median over the rounds both have of `runs` / `others`; None when there is no such round."""
    by_round: Mapping[int, Run] = {run.round: run for run in others if not run.wrong}
    ratios = [getattr(run, figure) / getattr(by_round[run.round], figure) for run in runs if run.round in by_round and not run.wrong]
    return round(median(ratios), 2) if ratios else None


def summary(runs: Sequence[Run], stock: str, loop: str, notes: Mapping[str, str]) -> list[Row]:
    """One row per contestant in the order of `notes`. Any run that did not do the work makes its row invalid: no figures."""
    of = {who: [run for run in runs if run.who == who] for who in notes}
    return [_row(who, own, of[stock], of[loop], notes[who]) for who, own in of.items() if own]


def _row(who: str, own: Sequence[Run], stock: Sequence[Run], loop: Sequence[Run], note: str) -> Row:
    wrong = next((run.wrong for run in own if run.wrong), "")
    ours = [] if wrong else own
    return {
        "who": who,
        "events_per_s": round(median(run.events_per_s for run in ours)) if ours else None,
        "cpu_us_per_event": round(median(run.cpu_us_per_event for run in ours), 2) if ours else None,
        "rss_mb": round(max(run.rss_mb for run in ours)) if ours else None,
        "events_per_s_of_stock": ratio(ours, stock, "events_per_s"),
        "cpu_times_below_stock": ratio(stock, ours, "cpu_us_per_event"),
        "events_per_s_of_loop": ratio(ours, loop, "events_per_s"),
        "cpu_of_loop": ratio(ours, loop, "cpu_us_per_event"),
        "events": own[0].events,
        "rounds": len(own),
        "invalid": wrong,
        "note": note,
    }
