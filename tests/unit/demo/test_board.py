from __future__ import annotations

from itertools import permutations

import pytest

from pipeline.demo.board import Board, Series, Totals
from tests.unit.demo.flushes import LABELS, START_MS, flush, pane

DEGRADED = Series.of("menu_generation", LABELS)
FAILED = Series.of("menu_generation", {"provider": "", "outcome": "failed"})


def test_the_higher_version_of_a_pane_is_kept_in_whatever_order_they_come() -> None:
    """A snapshot replaces what it is newer than, within its own partition only; partitions are added."""
    flushes = [flush(0, pane(1, 2)), flush(0, pane(3, 8)), flush(0, pane(2, 4)), flush(1, pane(10, 2))]
    for order in permutations(flushes):
        board = Board()
        for one in order:
            board.fold(one)
        assert board.series(0) == {DEGRADED: Totals(13, 13_000_000, {-1: 13})}


def test_a_period_holds_the_panes_that_start_in_it() -> None:
    """The start belongs to it, the end does not."""
    board = Board()
    board.fold(flush(0, pane(1, 2), pane(2, 4, start="2026-11-23T10:00:10.000Z")))
    assert board.series(START_MS, START_MS + 10_000)[DEGRADED].count == 1
    assert board.series(START_MS + 1)[DEGRADED].count == 2
    assert {start_ms: totals.count for (_, start_ms), totals in board.panes(0).items()} == {START_MS: 1, START_MS + 10_000: 2}


def test_a_metric_is_all_its_series_and_knows_which_are_errors() -> None:
    """menu_generation fails with outcome failed; degraded does not count as an error (contract)."""
    board = Board()
    board.fold(
        flush(
            0,
            pane(6, 2),
            pane(2, 4, labels={"provider": "", "outcome": "failed"}),
            pane(9, 2, metric="recipe_interaction", labels={"action": "view"}),
        )
    )
    totals, errors = board.metric("menu_generation", 0)
    assert (totals.count, errors) == (8, 2)
    assert (DEGRADED.is_error, FAILED.is_error) == (False, True)


def test_a_pane_that_a_repair_emptied_is_no_series() -> None:
    """Count 0 is how a repair takes a pane away."""
    board = Board()
    board.fold(flush(0, pane(4, 2)))
    board.fold(flush(0, pane(0, 9, sum=0, buckets={})))
    assert board.series(0) == {}
    assert board.panes(0) == {}


def test_everything_is_folded_when_every_partition_says_so() -> None:
    """Only the last part of a flush says how far its partition is; a partition without events has nothing to say."""
    board = Board()
    board.fold(flush(0, pane(1, 2), last_offset=4))
    board.fold(flush(1, pane(1, 2), last_offset=9, complete=False))
    assert board.has_folded({0: 5, 2: 0})
    assert not board.has_folded({0: 6})
    assert not board.has_folded({1: 10})


def test_mean_and_quantiles_come_from_sum_and_buckets() -> None:
    """A quantile is the middle of the bucket of rank ceil(p * n); what is only counted has neither."""
    totals = Totals(4, 10_000_000, {-1: 3, 95: 1})
    assert totals.mean == 2.5
    assert totals.percentile(50) == pytest.approx(2 ** (-0.5 / 32))
    assert totals.percentile(99) == pytest.approx(2 ** (95.5 / 32))
    assert (Totals(4).mean, Totals(4).percentile(50)) == (None, None)


def test_a_series_is_named_by_its_labels() -> None:
    """An empty label is visible."""
    assert str(FAILED) == "menu_generation provider=(none) outcome=failed"
