from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.chaos.oracle_trace import commits_behind_progress, in_flight, read_traces, trace_counters
from tests.chaos.oracle_world import World

SECOND = 1_000_000_000


def step(t: int, what: str, **fields: Any) -> dict[str, Any]:
    return {"t": t, "what": what, **fields}


def test_a_commit_behind_durable_progress_is_right_whoever_wrote_it() -> None:
    """Another worker's progress counts too: it was there before, by the one clock of the machine."""
    traces = {7: [step(5, "commit", partition=3, offset=80)], 8: [step(4, "progress", partition=3, position=80)]}
    assert commits_behind_progress(traces, World()) == []


def test_a_commit_ahead_of_durable_progress_is_named() -> None:
    """Progress of another partition, lower progress, or later progress does not cover it."""
    traces = {
        7: [
            step(1, "progress", partition=2, position=500),
            step(2, "progress", partition=3, position=80),
            step(3, "commit", partition=3, offset=120),
        ],
        8: [step(4, "progress", partition=3, position=120)],
    }
    assert commits_behind_progress(traces, World()) == ["L6 worker 7 committed partition 3 offset 120, durable was 80"]


def test_what_was_in_hand_at_the_end_is_in_flight() -> None:
    """Delivered and not done: partition 1. Partition 2 is done; partition 4 was long ago, so it was lost to another worker."""
    steps = [
        step(1 * SECOND, "delivered", partition=4, first=0, last=9),
        step(20 * SECOND, "delivered", partition=1, first=0, last=9),
        step(20 * SECOND, "done", partition=1, last=9),
        step(21 * SECOND, "delivered", partition=2, first=0, last=4),
        step(22 * SECOND, "done", partition=2, last=4),
        step(23 * SECOND, "delivered", partition=1, first=10, last=12),
    ]
    assert in_flight(steps) == {1}


def test_what_is_read_again_after_a_rewind_is_in_flight_again() -> None:
    """A chunk that was done once and delivered again from an earlier offset is open until it is done again."""
    steps = [
        step(1, "delivered", partition=1, first=0, last=9),
        step(2, "done", partition=1, last=9),
        step(3, "delivered", partition=1, first=5, last=9),
    ]
    assert in_flight(steps) == {1}
    assert in_flight([*steps, step(4, "done", partition=1, last=9)]) == set()


def test_duplicates_refusals_and_kills_are_counted() -> None:
    """Rows written beyond the distinct ones; rows of other tables, and inserts that never ended, are none."""
    traces = {
        7: [
            step(1, "inserted", table="events_raw", rows=10),
            step(2, "inserted", table="panes_raw", rows=99),
            step(3, "inserting", table="events_raw", rows=50),
            step(4, "commit_refused", partition=1, offset=3),
            step(5, "delivered", partition=1, first=3, last=5),
        ],
        8: [step(1, "inserted", table="events_raw", rows=8)],
    }
    counters = trace_counters(traces, killed=[7, 8, 9], distinct_events=12)
    assert counters["physical_duplicates"] == 6
    assert counters["commits_refused"] == 1
    assert counters["kills"] == 3
    assert counters["kills_in_flight"] == 1


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    """The file of a killed worker may end in the middle of a line; files of other roles are not read."""
    (tmp_path / "worker-12.ndjson").write_text('{"t":1,"what":"commit","partition":0,"offset":1}\n{"t":2,"wh')
    (tmp_path / "gateway-13.ndjson").write_text("{}\n")
    assert read_traces(tmp_path) == {12: [step(1, "commit", partition=0, offset=1)]}
