"""`make false-alarms`: how often the rules about failed menus would page on days on which nothing is wrong, and how soon when something is.

A thousand simulated healthy days for each volume and true error ratio, and outages of four sizes, beside a plain threshold (the ratio of
a minute, above 5 % for a minute) as most alerting has it. The gates are the product's own; what the pipeline adds to a detection
(2.6 to 3.2 s, `make bench-alert`) is not in these figures. The table goes to build/false-alarms.json too.

    FALSE_ALARM_DAYS=1000 python -m tests.bench.false_alarms
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import track

from alerting.config.load import load_config
from alerting.engine.condition import Comparison
from alerting.engine.evaluate import Asked, Sample, Standing, weigh
from alerting.engine.rule import Rule
from schemas.partitioning import EVENT_PARTITIONS
from tests.bench import simulated
from tests.bench.simulated import Counts, Looks

SEED: Final = 6
VOLUMES_PER_MIN: Final = (1, 10, 1_000)
#: Events a minute, and how many of them truly fail.
HEALTHY: Final = [(per_min, ratio) for per_min in VOLUMES_PER_MIN for ratio in (0.005, 0.01, 0.04)]
OUTAGES: Final = [(per_min, ratio) for per_min in VOLUMES_PER_MIN for ratio in (0.1, 0.2, 0.5, 1.0)]
RULES: Final = ("Menu Generation Critical", "Error Rate High", "Menu Generation Slow Burn")
PLAIN: Final = "plain threshold"
#: Between these the README has what is printed.
BEGIN: Final = "<!-- false alarms: `make false-alarms` -->\n"
END: Final = "<!-- end of false alarms -->"

_SCREEN: Final = Console(stderr=True)
_DAY_S: Final = 86_400
_PLAIN_WINDOW_S: Final = 60
_PLAIN_FOR_S: Final = 60
_PLAIN_THRESHOLD: Final = 0.05
_HEALTHY_BEFORE_S: Final = 3_600
_OUTAGE_S: Final = 7_200
_OUTAGES_EACH: Final = 200


@dataclass(frozen=True, slots=True)
class HealthyDays:
    """False pages of `who` over `days` days with `per_min` events a minute of which `error_ratio` truly fail."""

    who: str
    per_min: int
    error_ratio: float
    days: int
    false_pages: int

    @property
    def per_100_days(self) -> float:
        return 100 * self.false_pages / self.days


@dataclass(frozen=True, slots=True)
class Detection:
    """Seconds from the first second of an outage to the look that pages: median and 95th percentile; null where half, or 5 %, never do."""

    who: str
    per_min: int
    outage_ratio: float
    median_s: float | None
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Watcher:
    """A rule with a window over failed menus, as the simulation asks it; `looks` takes events and failures of each second."""

    name: str
    keep_firing_s: int
    looks: Callable[[Counts, Counts], Looks]


def watchers() -> list[Watcher]:
    """The shipped rules, and the plain threshold."""
    rules = {rule.name: rule for rule in load_config().rules}
    return [*(_of_rule(rules[name]) for name in RULES), Watcher(PLAIN, _PLAIN_FOR_S, _plain)]


def healthy_days(
    all_watchers: list[Watcher], per_min: int, error_ratio: float, days: int, random: np.random.Generator
) -> list[HealthyDays]:
    """Each day begins with the traffic of the hour before it, so that windows are full."""
    ratios = np.full(_HEALTHY_BEFORE_S + _DAY_S, error_ratio)
    pages = dict.fromkeys((watcher.name for watcher in all_watchers), 0)
    for _ in range(days):
        events, errors = simulated.traffic(random, per_min, ratios)
        for watcher in all_watchers:
            looks = watcher.looks(events, errors)
            looks[:_HEALTHY_BEFORE_S] = False
            pages[watcher.name] += simulated.incidents(looks, watcher.keep_firing_s)
    return [HealthyDays(name, per_min, error_ratio, days, count) for name, count in pages.items()]


def detections(all_watchers: list[Watcher], per_min: int, outage_ratio: float, random: np.random.Generator) -> list[Detection]:
    """Outages that begin somewhere in a pane, after a healthy hour with 1 % of failures."""
    seconds: dict[str, list[float]] = {watcher.name: [] for watcher in all_watchers}
    for number in range(_OUTAGES_EACH):
        begins = _HEALTHY_BEFORE_S + number % 10
        ratios = np.full(begins + _OUTAGE_S, 0.01)
        ratios[begins:] = outage_ratio
        events, errors = simulated.traffic(random, per_min, ratios)
        for watcher in all_watchers:
            seconds[watcher.name].append(simulated.first_after(watcher.looks(events, errors), begins))
    return [
        Detection(name, per_min, outage_ratio, _finite(median(found)), _finite(sorted(found)[int(0.95 * len(found))]))
        for name, found in seconds.items()
    ]


def main() -> int:
    """Print both tables; exit 1 when a rule pages falsely more than once in 100 days at 1 % of failures or fewer."""
    days = int(os.environ.get("FALSE_ALARM_DAYS", "1000"))
    random, all_watchers = np.random.default_rng(SEED), watchers()
    healthy = [row for case in track(HEALTHY, "healthy days", console=_SCREEN) for row in healthy_days(all_watchers, *case, days, random)]
    found = [row for case in track(OUTAGES, "outages", console=_SCREEN) for row in detections(all_watchers, *case, random)]
    sys.stdout.write("\n".join(report(healthy, found)) + "\n")
    document = {"seed": SEED, "healthy": [asdict(row) for row in healthy], "outages": [asdict(row) for row in found]}
    Path("build").mkdir(exist_ok=True)
    Path("build/false-alarms.json").write_text(json.dumps(document))
    too_many = [row for row in healthy if row.who != PLAIN and row.error_ratio <= 0.01 and row.per_100_days >= 1]
    for row in too_many:
        _SCREEN.print(f"{row.who} pages falsely {row.per_100_days:.2f} times in 100 days at {row.per_min} events a minute")
    return 1 if too_many else 0


def report(healthy: Iterable[HealthyDays], found: Iterable[Detection]) -> list[str]:
    """Markdown, as the README shows it."""
    names = [*RULES, PLAIN]
    head = ["| events a minute | true error ratio | " + " | ".join(names) + " |", "|---:|---:|" + "---:|" * len(names)]
    pages = {(row.per_min, row.error_ratio, row.who): f"{row.per_100_days:.1f}" for row in healthy}
    times = {(row.per_min, row.outage_ratio, row.who): f"{_time(row.median_s)} / {_time(row.p95_s)}" for row in found}
    return [
        "False pages in 100 healthy days:",
        "",
        *head,
        *_rows(pages, names),
        "",
        "Time to detect an outage, median / 95th percentile:",
        "",
        *head,
        *_rows(times, names),
    ]


def _rows(cells: dict[tuple[int, float, str], str], names: list[str]) -> list[str]:
    cases = dict.fromkeys((per_min, ratio) for per_min, ratio, _ in cells)
    return [
        f"| {per_min:,} | {ratio:.1%} | " + " | ".join(cells[per_min, ratio, name] for name in names) + " |" for per_min, ratio in cases
    ]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _finite(seconds: float) -> float | None:
    return seconds if np.isfinite(seconds) else None


def _of_rule(rule: Rule) -> Watcher:
    comparison = next(one for one in rule.condition.comparisons if one.quantity.name == "error_rate")
    window_s = (comparison.window_ms or rule.window_ms) // 1000

    def looks(events: Counts, errors: Counts) -> Looks:
        fewest = _fewest_errors(rule, comparison, 1 << int(simulated.over_windows(events, window_s).max()).bit_length())
        return simulated.true_looks(events, errors, window_s, fewest)

    return Watcher(rule.name, rule.keep_firing_for_ms // 1000, looks)


@cache
def _fewest_errors(rule: Rule, comparison: Comparison, most_events: int) -> Counts:
    """As the engine decides when every partition is in."""
    asked, level = Asked(comparison, rule.gates, rule.min_events_for(comparison)), Standing(EVENT_PARTITIONS)

    def holds(errors: int, events: int) -> bool:
        return weigh(asked, Sample(0, 0, errors, events), level, list).verdict == "true"

    return simulated.fewest_errors(holds, most_events)


def _plain(events: Counts, errors: Counts) -> Looks:
    return simulated.plain_looks(events, errors, _PLAIN_WINDOW_S, _PLAIN_THRESHOLD, _PLAIN_FOR_S)


if __name__ == "__main__":
    sys.exit(main())
