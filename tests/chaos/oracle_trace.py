"""L6: nothing was committed before it was durable. Judged from what the workers wrote down while they ran."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from tests.chaos.oracle_world import World

#: One line of a trace file.
Step = Mapping[str, Any]
#: Process id → its steps, in the order they were written.
Traces = Mapping[int, Sequence[Step]]

#: A chunk delivered longer before the end is not what the kill hit: its partition had been lost, and was read again elsewhere.
_IN_FLIGHT_NS: Final = 10 * 1_000_000_000


def read_traces(folder: Path) -> dict[int, list[Step]]:
    """The traces of workers, by process id; a last line cut off by a kill is left out."""
    return {int(path.stem.split("-")[1]): _steps(path.read_bytes()) for path in sorted(folder.glob("worker-*.ndjson"))}


def commits_behind_progress(traces: Traces, world: World) -> list[str]:
    """L6: every commit names what some earlier progress row of its partition covers; in the end everything is committed."""
    furthest: dict[int, int] = defaultdict(int)
    found = []
    for pid, step in _in_time(traces):
        if step["what"] == "progress":
            furthest[step["partition"]] = max(furthest[step["partition"]], step["position"])
        elif step["what"] == "commit" and step["offset"] > furthest[step["partition"]]:
            partition, offset = step["partition"], step["offset"]
            found.append(f"L6 worker {pid} committed partition {partition} offset {offset}, durable was {furthest[partition]}")
    for partition, end in sorted(world.log_ends.items()):
        if world.committed.get(partition) != end and end:
            found.append(f"L6 partition {partition}: committed is {world.committed.get(partition)}, the log ends at {end}")
    return found


def trace_counters(traces: Traces, killed: Collection[int], distinct_events: int) -> dict[str, int]:
    """What the run has had to absorb."""
    steps = Counter[str]()
    rows_written = 0
    for _, step in _in_time(traces):
        steps[step["what"]] += 1
        if step["what"] == "inserted" and step["table"] == "events_raw":
            rows_written += step["rows"]
    return {
        "event_rows_written": rows_written,
        "physical_duplicates": max(0, rows_written - distinct_events),
        "traced_commits": steps["commit"],
        "commits_refused": steps["commit_refused"],
        "kills": len(killed),
        "kills_in_flight": sum(bool(in_flight(traces.get(pid, ()))) for pid in killed),
    }


def in_flight(steps: Sequence[Step]) -> set[int]:
    """The partitions of which a process had chunks in hand, delivered and not done, when its trace ends."""
    delivered: dict[int, Step] = {}
    done: dict[int, int] = defaultdict(lambda: -1)
    for step in steps:
        if step["what"] == "delivered":
            delivered[step["partition"]] = step
            done[step["partition"]] = min(done[step["partition"]], step["first"] - 1)  # read again after a rewind
        elif step["what"] == "done":
            done[step["partition"]] = max(done[step["partition"]], step["last"])
    return {
        partition for partition, step in delivered.items() if step["last"] > done[partition] and step["t"] > steps[-1]["t"] - _IN_FLIGHT_NS
    }


def _steps(text: bytes) -> list[Step]:
    lines = text.split(b"\n")
    return [orjson.loads(line) for line in lines[:-1]]


def _in_time(traces: Traces) -> Iterable[tuple[int, Step]]:
    """The steps of all processes in one order: they have one clock."""
    steps = [(step["t"], pid, number, step) for pid, steps in traces.items() for number, step in enumerate(steps)]
    return ((pid, step) for _, pid, _, step in sorted(steps, key=lambda one: one[:3]))
