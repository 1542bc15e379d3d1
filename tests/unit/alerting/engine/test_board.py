from __future__ import annotations

from alerting.engine.board import MEMORY_MS, Board, Tally
from alerting.engine.condition import Comparison
from alerting.engine.condition_text import parse_condition
from schemas.pane import Flush, Pane
from schemas.timestamps import from_ms
from tests.unit.alerting.traffic import T0_MS, Source


def comparison(text: str) -> Comparison:
    return parse_condition(text).comparisons[0]


ERRORS = comparison("error_rate > 5%")
MEAN = comparison("avg_time > 30s")


def board(partitions: int = 2) -> Board:
    return Board(["menu_generation"], partitions)


def total(of: Board, what: Comparison, from_s: int = 0, to_s: int = 60) -> Tally:
    return sum(of.tally(what, T0_MS + from_s * 1000, T0_MS + to_s * 1000), Tally())


def test_an_error_rate_is_failed_over_all_outcomes_of_all_partitions() -> None:
    """Degraded menus are no errors; partitions, providers and panes add up."""
    seen = board()
    seen.fold(Source(0).menus(1, 70).menus(12, 5, outcome="degraded").failures(13, 3, provider="claude").flush())
    seen.fold(Source(1).menus(2, 20).failures(3, 2).flush())
    assert total(seen, ERRORS) == Tally(5, 100)
    assert seen.tally(ERRORS, T0_MS, T0_MS + 60_000) == [Tally(3, 78), Tally(2, 22)]
    assert total(seen, comparison('error_rate{provider="claude"} > 5%')) == Tally(3, 3)


def test_a_mean_is_sum_over_count_in_millionths() -> None:
    """3 menus of 1000 ms and 1 of 2000.5 ms: 5,000,500,000 millionths of a ms over 4."""
    seen = board()
    seen.fold(Source(0).menus(1, 3).menus(1, 1, each_ms=2000.5).flush())
    assert total(seen, MEAN) == Tally(5_000_500_000, 4)


def test_a_window_begins_with_its_first_pane_and_ends_before_its_last() -> None:
    """Of panes at 0, 10 and 20 s the window from 10 to 20 s has the second alone."""
    seen = board()
    seen.fold(Source(0).menus(9.999, 1).menus(10, 10).menus(19.999, 100).menus(20, 1000).flush())
    assert total(seen, ERRORS, 10, 20) == Tally(0, 110)


def test_the_higher_version_of_a_pane_wins_whichever_comes_first() -> None:
    """A snapshot is replaced by a newer one, and never by an older one; a repair's odd version beats the fold's of the same offset."""
    source = Source(0)
    first = source.menus(1, 10).flush()
    second = source.menus(2, 5).flush()
    for order in ([first, second], [second, first], [first, second, first, second]):
        seen = board()
        for flush in order:
            seen.fold(flush)
        assert total(seen, ERRORS) == Tally(0, 15)
    repaired = second.panes[0].model_copy(update={"version": second.panes[0].version + 1, "count": 14})
    seen.fold(second.model_copy(update={"panes": [repaired], "watermark": None}))
    seen.fold(second)
    assert total(seen, ERRORS) == Tally(0, 14)


def test_the_same_pane_of_two_partitions_is_two_panes() -> None:
    """Labels and start alike, the partition tells them apart."""
    seen = board()
    seen.fold(Source(0).menus(1, 10).flush())
    seen.fold(Source(1).menus(1, 10).flush())
    assert total(seen, ERRORS) == Tally(0, 20)


def test_the_effective_watermark_is_the_higher_of_watermark_and_caught_up_less_two_seconds() -> None:
    """A partition that is read to its end is as far as the clock, less 2 s; it never goes back; the board is as far as the last one."""
    seen, source = board(), Source(0)
    seen.fold(source.menus(30).flush(caught_up_s=31.5))
    assert seen.effective_watermark_ms(0) == T0_MS + 30_000
    seen.fold(source.flush(caught_up_s=40))
    assert seen.effective_watermark_ms(0) == T0_MS + 38_000
    seen.fold(source.menus(35).flush())
    assert seen.effective_watermark_ms(0) == T0_MS + 38_000
    assert seen.watermark_ms is None
    seen.fold(Source(1).menus(7).flush())
    assert seen.watermark_ms == T0_MS + 7_000


def test_a_part_of_a_flush_brings_panes_but_neither_watermark_nor_offset() -> None:
    """Only the last part says how far the partition is."""
    seen = board()
    seen.fold(Source(0).menus(30, 7).flush(with_watermark=False))
    assert total(seen, ERRORS) == Tally(0, 7)
    assert (seen.effective_watermark_ms(0), seen.last_offsets) == (None, [-1, -1])


def test_partitions_are_missing_when_unknown_behind_or_too_far_ahead() -> None:
    """A partition so far ahead that it forgot the window cannot speak for it."""
    seen = board(3)
    seen.fold(Source(0).menus(50).flush())
    seen.fold(Source(1).menus(0).menus(60 + MEMORY_MS // 1000).flush())
    assert seen.missing(T0_MS, T0_MS + 50_000) == [1, 2]
    assert seen.missing(T0_MS, T0_MS + 50_001) == [0, 1, 2]
    assert seen.missing(T0_MS + 60_000, T0_MS + 50_000) == [2]


def test_panes_beyond_memory_are_forgotten_and_refused() -> None:
    """What is older than the memory, counted from the partition's own watermark, takes no room and cannot come back."""
    seen, source = board(1), Source(0)
    old = source.menus(5, 3).flush()
    seen.fold(old)
    seen.fold(source.menus(20 + MEMORY_MS // 1000, 1).flush())
    assert total(seen, ERRORS) == Tally()
    seen.fold(old)
    assert total(seen, ERRORS) == Tally()
    assert sum(len(cells) for cells in seen._cells) == 1


def test_metrics_that_no_rule_uses_take_no_room() -> None:
    """Only panes of the rules' metrics are kept."""
    seen = board(1)
    pane = Pane(metric="web_vital", labels={}, start=from_ms(T0_MS), count=1, sum=1, buckets={7: 1}, last_offset=3, version=6)
    seen.fold(Flush(source_partition=0, last_offset=3, watermark=from_ms(T0_MS + 5), caught_up_at=None, panes=[pane]))
    assert (sum(len(cells) for cells in seen._cells), seen.take_touched(0), seen.last_offsets) == (0, set(), [3])


def test_touched_panes_are_told_once_per_partition() -> None:
    """Starts of panes that changed; an old snapshot changes nothing."""
    seen, source = board(), Source(0)
    flush = source.menus(5).menus(25).flush()
    seen.fold(flush)
    assert seen.take_touched(1) == set()
    assert seen.take_touched(0) == {T0_MS, T0_MS + 20_000}
    seen.fold(flush)
    assert seen.take_touched(0) == set()
