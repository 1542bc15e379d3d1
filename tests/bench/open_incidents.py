"""Ten thousand open incidents: the memory of an alerter that holds them, and the time of one round of judging them all.

A round is ten seconds of event time: every partition flushes once, every series has news, every incident is looked at.
Quiet rounds are flushes without a single event: every incident is looked at all the same. Exits 1 when a limit is missed.
Times are processor time. Paging is apart: it looks at an incident when something is due, and here all are due together.

    BENCH_INCIDENTS=10000 python -m tests.bench.open_incidents
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

import alerting.alerter  # noqa: F401 what a role imports is memory, too
from alerting.config.load import load_config
from alerting.engine.engine import Engine
from alerting.engine.rule import Rule
from pipeline.runtime.shell import collect_seldom
from schemas.pane import PANE_MS, Flush, Pane
from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import from_ms

LIMIT_MIB: Final = 300
LIMIT_ROUND_S: Final = 1.0
_ROUNDS: Final = 12
_T0_MS: Final = 1_795_428_000_000
_RULE: Final = {
    "name": "Errors of a provider",
    "condition": "error_rate > 5%",
    "by": ["provider"],
    "window": "1m",
    "channels": ["slack-alerts"],
    "severity": "critical",
    "runbook": "alerting/config/runbooks/menu-generation.md",
}


@dataclass(frozen=True, slots=True)
class Round:
    """Processor time of judging, and of the tick after it."""

    judging_s: float
    paging_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Resident memory is that of the process at its end, with everything that is imported."""

    open_incidents: int
    opening: Round
    rounds: list[Round]
    quiet_rounds: list[Round]
    resident_mib: float


def measure(incidents: int, rounds: int = _ROUNDS) -> Measured:
    """Open so many incidents of one rule, then judge all of them again and again."""
    config = load_config()
    engine = Engine([Rule.model_validate(_RULE)], config.policy, config.routing)
    engine.catch_up(_T0_MS)
    opening = _round(engine, 0, incidents)
    busy = [_round(engine, number, incidents) for number in range(1, rounds + 1)]
    quiet = [_round(engine, rounds + number, 0) for number in range(1, rounds + 1)]
    resident_mib = psutil.Process().memory_info().rss / 2**20
    return Measured(len(engine.open_alerts), opening, busy, quiet, resident_mib)


def _round(engine: Engine, number: int, series: int) -> Round:
    now_ms = _T0_MS + number * PANE_MS + PANE_MS // 2
    judging_s = 0.0
    for flush in _flushes(number, series):
        began = time.process_time()
        engine.on_flush(flush, now_ms, now_ms)
        judging_s += time.process_time() - began
    began = time.process_time()
    engine.on_tick(now_ms)
    return Round(judging_s, time.process_time() - began)


def _flushes(number: int, series: int) -> Iterator[Flush]:
    """20 to 39 menus of every provider fail and 20 do not, in the pane of that number."""
    start_ms = _T0_MS + number * PANE_MS
    for partition in range(EVENT_PARTITIONS):
        panes = [
            Pane(
                metric="menu_generation",
                labels={"provider": f"provider-{provider}", "outcome": outcome},
                start=from_ms(start_ms),
                count=20 + (provider % 20 if outcome == "failed" else 0),
                sum=20_000_000_000,
                buckets={},
                last_offset=number,
                version=2 * number,
            )
            for provider in range(partition, series, EVENT_PARTITIONS)
            for outcome in ("failed", "full")
        ]
        reached = from_ms(start_ms + PANE_MS // 2)
        yield Flush(source_partition=partition, last_offset=number, watermark=reached, caught_up_at=None, panes=panes)


def main() -> None:
    collect_seldom()  # as every role does once it has started
    incidents = int(os.environ.get("BENCH_INCIDENTS", "10000"))
    measured = measure(incidents)
    slowest_s = max(one.judging_s for one in measured.rounds + measured.quiet_rounds)
    _say(f"open incidents       {measured.open_incidents:8,}")
    _say(f"opening all of them  {measured.opening.judging_s:8.2f} s, and {measured.opening.paging_s:.2f} s to page")
    for name, rounds in (("a round, all fail", measured.rounds), ("a round, no events", measured.quiet_rounds)):
        judging_s, paging_s = [one.judging_s for one in rounds], max(one.paging_s for one in rounds)
        _say(f"{name:19}  {statistics.median(judging_s):8.2f} s, the slowest {max(judging_s):.2f} s; paging at most {paging_s:.2f} s")
    _say(f"resident memory      {measured.resident_mib:8.0f} MiB")
    missed = [] if measured.open_incidents == incidents else [f"{incidents - measured.open_incidents:,} incidents are not open"]
    missed += [f"a round took {slowest_s:.2f} s, at most {LIMIT_ROUND_S} s wanted"] if slowest_s > LIMIT_ROUND_S else []
    missed += [f"{measured.resident_mib:.0f} MiB, at most {LIMIT_MIB} MiB wanted"] if measured.resident_mib > LIMIT_MIB else []
    sys.exit("; ".join(missed) or 0)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
