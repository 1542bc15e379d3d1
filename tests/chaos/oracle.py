"""The independent judge of a chaos run: what was sent, against everything the stack says afterwards.

    python -m tests.chaos.oracle --sent sent.ndjson --kafka HOST:PORT --clickhouse URL --user U --password P [--traces DIR]

judges a stack again that still runs; exit code 1 when a law did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from tests.chaos.oracle_alerts import incidents_told
from tests.chaos.oracle_claims import claims_true, with_claims
from tests.chaos.oracle_laws import all_accounted_for, nothing_invented, nothing_lost, nothing_twice
from tests.chaos.oracle_log import Reading, read_log
from tests.chaos.oracle_numbers import numbers_right
from tests.chaos.oracle_read import Where, read_world
from tests.chaos.oracle_report import Report
from tests.chaos.oracle_trace import Traces, commits_behind_progress, read_traces, trace_counters
from tests.chaos.oracle_world import World
from tests.chaos.sent import Sent

__all__ = ["Report", "Where", "judge", "judge_world"]


async def judge(sent: Sent, where: Where, *, killed: Collection[int] = (), deadline_s: float = 150.0) -> Report:
    """Wait until the stack has come to rest, read all of it and judge it.

    Call it when all faults are over, everything runs and the traffic has returned. `killed` are the pids of workers that were killed.
    """
    world = await read_world(where, with_incident=sent.incident is not None, deadline_s=deadline_s)
    return judge_world(sent, world, read_traces(where.traces) if where.traces else {}, killed)


def judge_world(sent: Sent, world: World, traces: Traces, killed: Collection[int] = ()) -> Report:
    """Judge what was read. Traces that are empty say nothing: L6 then only asks that all is committed."""
    sent = with_claims(sent, world.log)
    reading = read_log(sent, world.log)
    differences = [
        *(f"L0 not at rest in time: {line}" for line in world.unquiet),
        *_unanswered(sent),
        *nothing_lost(sent, world, reading),
        *nothing_twice(world),
        *nothing_invented(sent, world, reading),
        *numbers_right(sent, world, reading),
        *all_accounted_for(sent, world, reading),
        *commits_behind_progress(traces, world),
        *claims_true(sent, world),
        *(incidents_told(sent.incident, world) if world.with_alerts else ()),
    ]
    return Report(tuple(differences), _counters(sent, world, reading) | trace_counters(traces, killed, len(world.stored)))


def _unanswered(sent: Sent) -> list[str]:
    """Copies may be unknown while something is away; that nobody takes them once all is back is a fault of its own."""
    ways = Counter(copy.how for copy in sent.copies if copy.outcome == "unknown")
    return [f"L0 {count} copies by {how} were never answered, though they were sent again and again" for how, count in sorted(ways.items())]


def _counters(sent: Sent, world: World, reading: Reading) -> dict[str, int]:
    whats = Counter(item.what for item in sent.items.values())
    whys = Counter(item.why for item in sent.items.values() if item.what == "event")
    ways = Counter(copy.how for copy in sent.copies)
    return {
        "events": whats["event"],
        "late": whys["late"],
        "clamped": whys["clamped"],
        "copies": len(sent.copies),
        "copies_kafka": ways["kafka"],
        "copies_gateway": ways["gateway"],
        "copies_resent": sum(copy.attempts > 1 for copy in sent.copies),
        "copies_unanswered": sum(copy.outcome == "unknown" for copy in sent.copies),
        "log_records": len(world.log),
        "counted": len(reading.counting),
        "repeats": reading.repeats,
        "moved": len(reading.moved),
        "forwarded": len(reading.forwarded),
        "conflicts": len(reading.conflicts),
        "poison_in_log": len(reading.poison),
        "poison_rejected": sum(copy.outcome == "rejected" for copy in sent.copies if sent.items[copy.item].what == "poison"),
        "dead_letters": len(world.dead_letters),
        "flushes": len(world.flushes),
        "pane_rows": len(world.pane_rows),
    }


def main(argv: Iterable[str] | None = None) -> int:
    """The command line; prints the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.oracle", description="Judge a stack that still runs.")
    parser.add_argument("--sent", type=Path, required=True)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--clickhouse", required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    for name in ("--traces", "--slack", "--pagerduty"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--killed", default="", help="pids of killed workers, comma-separated")
    parser.add_argument("--without-alerts", action="store_true")
    parser.add_argument("--deadline-s", type=float, default=150.0)
    given = parser.parse_args(None if argv is None else list(argv))
    where = Where(
        given.kafka,
        given.clickhouse,
        given.user,
        given.password,
        given.traces,
        given.slack,
        given.pagerduty,
        with_alerts=not given.without_alerts,
    )
    killed = [int(pid) for pid in given.killed.split(",") if pid]
    report = asyncio.run(judge(Sent.load(given.sent), where, killed=killed, deadline_s=given.deadline_s))
    print(report)  # noqa: T201
    return 0 if report.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
