from __future__ import annotations

import pytest

from pipeline.cli.dead_letters import as_text
from pipeline.cli.main import run
from pipeline.cli.replaying import Report
from pipeline.dead_letters.moves import Moves

#: 2026-11-23T10:00:00Z
TEN = 1_795_428_000_000


def report() -> Report:
    moves = Moves(
        metrics={
            ("menu_generation", ("ollama", "full")): (1_450, 1_860_250_000_000),
            ("events", ("menu_generated", "menu-api")): (1_450, 0),
        },
        user_days={("u-1", TEN)},
        hours_too_old={(3, TEN), (4, TEN)},
    )
    moves.events[("menu_generated", TEN)] = 1_450
    found = Report(matched=1_500, ready=1_450, stored=20, given_up=7, unreadable=1, unread_records=12, has_more=True, moves=moves)
    found.refused.update({("event_id_conflict", "event_id: was used before"): 23})
    return found


def test_people_read_what_would_happen_line_by_line() -> None:
    """How many, what is not replayed and why, and which numbers move by how much."""
    assert list(as_text(report(), dry_run=True)) == [
        "1,500 dead letters match: 1,450 would be replayed, 20 stored already, 23 still refused",
        "7 are given up, refused after three replays; --force replays them all the same",
        "  23 × event_id_conflict: event_id: was used before",
        "1 records of dlq.v1 are no dead letters",
        "12 records of events.v1 have not been read yet: what is among them is not known to be stored",
        "there may be more: run it again",
        "would move:",
        "  events{event_type=menu_generated, service=menu-api}: +1,450",
        "  menu_generation{provider=ollama, outcome=full}: +1,450, sum +1,860,250.0 ms",
        "  menu_generated in the hour from 2026-11-23T10:00:00.000Z: +1,450",
        "  user_days: +1; first_exposures: 0 new or earlier",
        "  1 hours are so old that their panes stay as they are: the events are stored, no metric moves there",
    ]


def test_nothing_moves_where_nothing_is_replayed() -> None:
    """One line says so."""
    assert list(as_text(Report(), dry_run=False)) == ["0 dead letters match: 0 replayed, 0 stored already, 0 still refused"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fix", "hope"], "there is no such fix; there are new-event-id, set-version-1"),
        (["--max", "0"], "--max must be at least 1"),
        (["--since", "yesterday"], "yesterday"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, in one line."""
    assert run(["dlq", "replay", *arguments]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_fixes_are_shown_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each."""
    assert run(["dlq", "fixes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[1].startswith("set-version-1: Calls the event schema_version 1")
