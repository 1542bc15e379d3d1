from __future__ import annotations

import pytest

from tests.chaos.selftest import CASES, changes, lost, nothing, panes_double, panes_too_high, windows_too_low

PANE = "L4 panes menu_generation{outcome=full, provider=ollama} 2026-11-25T20:58:10Z: want count 12, got count "
RATE = "L4 error_rate menu_generation{provider=ollama} 2026-11-25T20:58:00Z +60 s: want 3 of 120, got 3 of "
RATE_TOTAL = "L4 error_rate_total menu_generation{} 2026-11-25T20:58:00Z +60 s: want 9 of 220, got 3 of "
LATENCY = "L4 latency menu_generation{} 2026-11-25T20:58:00Z +60 s: want count 12 mean 690.1 p50 1.0 p95 1.0 p99 1.0, got count "
LATENCY_TOTAL = "L4 latency_total menu_generation{} 2026-11-25T20:58:00Z +60 s: want count 12 mean 690.1 p50 1.0 p95 1.0 p99 1.0, got "
LOST = "L1 event 0198, acknowledged by the gateway, is neither in events nor in dead_letters; it counts at 3/120"
AHEAD = "L6 worker 7 committed partition 3 offset 120, durable was 80"


def test_differences_are_read_as_numbers() -> None:
    """The sign says whether a number is too high; what is not there counts as zero."""
    assert changes([PANE + "13", PANE + "11"], "panes") == [1, -1]
    assert changes([RATE + "118"], "error_rate") == [-2]
    assert changes([LATENCY_TOTAL + "nothing"], "latency_total") == [-12]
    assert changes(["L4 panes x{} 2026: want nothing, got count 3"], "panes") == [3]


def test_a_lost_event_and_a_commit_ahead_show_the_missing_ledger() -> None:
    """Either alone, or panes that are too high, would be another bug."""
    assert lost([LOST, AHEAD, PANE + "11"]) is None
    assert lost([LOST]) is not None
    assert lost([AHEAD]) is not None
    assert lost([LOST, AHEAD, PANE + "13"]) is not None


def test_only_panes_that_are_too_high_show_the_missing_offset_guard() -> None:
    """Nothing lost, nothing too low."""
    assert panes_too_high([PANE + "13", RATE + "121"]) is None
    assert panes_too_high([]) is not None
    assert panes_too_high([PANE + "13", PANE + "11"]) is not None
    assert panes_too_high([PANE + "13", LOST]) is not None


def test_rows_of_repeats_may_come_with_the_missing_repeat_filter() -> None:
    """Panes too high and rows that should not be there, but nothing lost and nothing committed early."""
    rows = "L5 3/7 (event 0198) has a row in events_raw and does not count: its first copy is at 3/2"
    missing = "L8 accepted_and_stored says (accepted, missing) = (1616, 64) of ('01a2', 29927687), it is (1616, 0)"
    assert panes_double([PANE + "24", rows, missing]) is None
    assert panes_double([rows]) is not None
    assert panes_double([PANE + "24", AHEAD]) is not None


def test_windows_too_low_over_right_panes_show_the_merge_by_last() -> None:
    """Every view that adds panes up must be too low, and the panes themselves right."""
    low = [RATE + "20", RATE_TOTAL + "20", LATENCY + "2 mean 1.0", LATENCY_TOTAL + "nothing"]
    assert windows_too_low(low) is None
    assert windows_too_low(low[:3]) is not None
    assert windows_too_low([*low, PANE + "11"]) is not None
    assert windows_too_low([*low[1:], RATE + "121"]) is not None


@pytest.mark.parametrize("line", [LOST, AHEAD, PANE + "13", "worker-0 (pid 4) ended by itself with 1: a bug"])
def test_the_control_bears_no_difference(line: str) -> None:
    """Also what the runner itself noticed makes it red."""
    assert nothing([]) is None
    assert nothing([line]) is not None


def test_no_verdict_is_pleased_with_a_green_run() -> None:
    """A planted bug that does nothing makes the self-test fail."""
    assert [case.name for case in CASES if case.plant and case.wrong(()) is None] == []
