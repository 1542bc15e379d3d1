from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.agents.repair_panes import Difference
from pipeline.aggregation.exposures import Exposure
from pipeline.aggregation.panes import Snapshot
from pipeline.cli.main import run
from pipeline.cli.reconcile import as_document, as_text
from pipeline.cli.reconciling import PaneDifference, Report
from pipeline.clickhouse.repair_facts import FactDifference
from pipeline.clickhouse.repair_user_days import UserDayDifference

#: 2026-11-23T10:00:00Z
TEN = 1_795_428_000_000


def report() -> Report:
    right = Snapshot("menu_generation", ("ollama", "full"), TEN, 5, 500_000_000, {212: 5}, 7, TEN, 15)
    return Report(
        hours=288,
        events=1_000_000,
        pane_count=2,
        panes=[
            PaneDifference(3, "missing", Difference(None, right)),
            PaneDifference(4, "repeat", Difference(replace(right, count=6, version=14), right)),
        ],
        fact_count=1,
        facts=[FactDifference(("u-1", "planner"), None, Exposure(TEN, "e-1", "B"))],
        user_day_count=3,
        user_days=[UserDayDifference(("u-1", TEN - 36_000_000), False), UserDayDifference(("u-2", TEN + 43_200_000), True)],
        refused=[(0, TEN + 3_600_000), (1, TEN)],
        open_from_ms={2: TEN},
        unread_records=12,
    )


def test_people_read_what_differs_line_by_line() -> None:
    """Every difference with both sides and its cause, what was left out and why, and a last line that sums up."""
    assert list(as_text(report(), repair=False)) == [
        "288 hours of partitions compared with 1,000,000 events",
        "12 records of events.v1 have not been read yet: run this again when they have",
        "open panes of 1 partitions are left to their workers, the earliest from 2026-11-23T10:00:00.000Z",
        "menu_generation{provider=ollama, outcome=full} partition 3, 2026-11-23T10:00:00.000Z: "
        "stored nothing; right 5 events, sum 500000000 (missing)",
        "menu_generation{provider=ollama, outcome=full} partition 4, 2026-11-23T10:00:00.000Z: "
        "stored 6 events, sum 500000000; right 5 events, sum 500000000 (repeat)",
        "first exposure of u-1 to planner: stored nothing, right B at 2026-11-23T10:00:00.000Z",
        "u-1 active on the day from 2026-11-23T00:00:00.000Z: stored nothing",
        "u-2 active on the day from 2026-11-23T22:00:00.000Z: stored, right nothing",
        "2 hours are refused, the earliest is 2026-11-23T10:00:00.000Z: "
        "so old that events may be gone, or with events that cannot be folded",
        "2 panes, 1 first exposures and 3 days of users differ",
    ]


def test_a_repair_says_what_came_of_it() -> None:
    """All repaired, or how many rows of somebody else's stand above it."""
    assert list(as_text(report(), repair=True))[-1] == "2 panes, 1 first exposures and 3 days of users differ: repaired"
    stubborn = replace(report(), unrepaired=1)
    assert (
        list(as_text(stubborn, repair=True))[-1]
        == "2 panes, 1 first exposures and 3 days of users differ: 1 differ still, rows with a higher version stand"
    )
    assert as_document(stubborn, repair=True)["repaired"] is False
    assert as_document(report(), repair=False)["repaired"] is False


def test_long_lists_are_cut_for_people_only() -> None:
    """Twenty differences are shown, all are in the document."""
    many = replace(report(), pane_count=30, panes=report().panes[:1] * 30)
    assert sum("partition 3" in line for line in as_text(many, repair=False)) == 20
    assert "…; --format json shows more" in list(as_text(many, repair=False))
    assert len(as_document(many, repair=False)["panes"]) == 30


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        ("yesterday", "2026-11-24", "--from: 'yesterday' is not a time; write 2026-11-23 or 2026-11-23T10:00Z"),
        ("2026-11-23", "2026-11-2", "--to: '2026-11-2' is not a time; write 2026-11-23 or 2026-11-23T10:00Z"),
        ("2026-11-24", "2026-11-23T23:00+00:00", "--from must be before --to"),
    ],
)
def test_a_period_that_is_none_is_wrong_usage(begin: str, end: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and one line that says how to write it, before anything is asked."""
    assert run(["reconcile", "--from", begin, "--to", end]) == 2
    assert capsys.readouterr().err == f"telemetry: {said}\n"
