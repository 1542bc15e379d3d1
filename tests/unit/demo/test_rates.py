from __future__ import annotations

from pipeline.demo.board import Board
from pipeline.demo.rates import Rates
from tests.unit.demo.flushes import START_MS, flush, pane

METRICS = {"menu_generation": "menus", "recipe_interaction": "recipe views"}
FAILED = {"provider": "", "outcome": "failed"}


def test_the_last_minute_ends_with_the_open_pane() -> None:
    """Six panes as a rule judges them: the pane of a minute ago is out, the open one is in."""
    board = Board()
    board.fold(
        flush(0, pane(4, 2), pane(3, 2, start="2026-11-23T10:00:10.000Z"), pane(1, 2, start="2026-11-23T10:01:00.000Z", labels=FAILED))
    )
    menus, views = Rates(board, METRICS, START_MS, 60_000).look(START_MS + 61_000)
    assert (menus.name, menus.events, menus.last_minute.count, menus.errors) == ("menus", 8, 4, 1)
    assert (views.name, views.events, views.errors) == ("recipe views", 0, None)


def test_a_rate_is_what_arrived_over_the_last_ten_seconds() -> None:
    """40 events in the first five seconds; fifteen seconds later nothing has come for ten."""
    board = Board()
    rates = Rates(board, METRICS, START_MS, 60_000)
    assert rates.look(START_MS)[0].per_s == 0
    board.fold(flush(0, pane(40, 2)))
    assert rates.look(START_MS + 5_000)[0].per_s == 8
    assert rates.look(START_MS + 10_000)[0].per_s == 4
    assert rates.look(START_MS + 15_000)[0].per_s == 0
