from __future__ import annotations

import pytest

from alerting.engine.board import LATE_MS, Board, StoredPanes
from alerting.engine.condition_text import parse_condition
from alerting.engine.measure import MeasureKey, Tally, pane_of, quantile_of
from alerting.engine.series import Series
from tests.unit.alerting.engine.panes import flush, pane
from tests.unit.alerting.traffic import T0_MS, Source, now_at

MINUTE_MS = 60_000


def key(text: str, *by: str) -> MeasureKey:
    return MeasureKey.of(parse_condition(text).comparisons[0], by)


ERRORS = key("error_rate > 5%")


def board(*keys: MeasureKey, partitions: int = 2, lookback_ms: int = MINUTE_MS) -> Board:
    return Board(dict.fromkeys(keys or (ERRORS,), lookback_ms), partitions)


def total(of: Board, what: MeasureKey = ERRORS, from_s: int = 0, to_s: int = 60, series: Series = ()) -> Tally:
    return of.measures[what].tally(series, pane_of(now_at(from_s)), pane_of(now_at(to_s)))


def by_partition(of: Board, what: MeasureKey = ERRORS, series: Series = ()) -> list[int]:
    return of.events_by_partition(of.measures[what], series, pane_of(T0_MS), pane_of(now_at(60)))


def test_an_error_rate_is_failed_over_all_outcomes_of_all_partitions() -> None:
    """Degraded menus are no errors; partitions, providers and panes add up; a selection takes its part."""
    claude = key('error_rate{provider="claude"} > 5%')
    seen = board(ERRORS, claude)
    seen.fold(Source(0).menus(1, 70).menus(12, 5, outcome="degraded").failures(13, 3, provider="claude").flush(), T0_MS)
    seen.fold(Source(1).menus(2, 20).failures(3, 2).flush(), T0_MS)
    assert total(seen) == Tally(5, 100)
    assert by_partition(seen) == [78, 22]
    assert total(seen, claude) == Tally(3, 3)


def test_every_series_has_its_own_numbers() -> None:
    """By provider: what one has is not in the other's, and one that nobody named is empty."""
    of = key("error_rate > 5%", "provider")
    seen = board(of)
    seen.fold(Source(0).menus(1, 7, provider="a").failures(2, 3, provider="b").flush(), T0_MS)
    assert total(seen, of, series=(("provider", "a"),)) == Tally(0, 7)
    assert total(seen, of, series=(("provider", "b"),)) == Tally(3, 3)
    assert total(seen, of, series=(("provider", "c"),)) == Tally()
    assert sorted(seen.measures[of].present(pane_of(T0_MS), pane_of(now_at(10)))) == [(("provider", "a"),), (("provider", "b"),)]


def test_of_many_series_each_partitions_share_is_found_again() -> None:
    """Beyond 256 series the share of a partition is added up from its panes when it is asked for."""
    of = key("error_rate > 5%", "provider")
    seen = board(of)
    for partition in (0, 1):
        source = Source(partition)
        for number in range(300):
            source.menus(1, 1 + partition, provider=f"p{number}").failures(12, 3, provider=f"p{number}")
        seen.fold(source.flush(), T0_MS)
    assert seen.measures[of].events_by_partition((("provider", "p7"),), 0, 1) is None
    assert by_partition(seen, of, (("provider", "p7"),)) == [4, 5]
    at_once = seen.all_events_by_partition(seen.measures[of], pane_of(T0_MS), pane_of(now_at(10)))
    assert (len(at_once), at_once[(("provider", "p7"),)]) == (300, [1, 2])
    assert total(seen, of, series=(("provider", "p299"),)) == Tally(6, 9)


def test_a_mean_is_sum_over_count_in_millionths() -> None:
    """3 menus of 1000 ms and 1 of 2000.5 ms: 5,000,500,000 millionths of a ms over 4."""
    of = key("avg_time > 30s")
    seen = board(of)
    seen.fold(Source(0).menus(1, 3).menus(1, 1, each_ms=2000.5).flush(), T0_MS)
    assert total(seen, of) == Tally(5_000_500_000, 4)


def test_a_window_holds_the_panes_that_start_in_it() -> None:
    """From the first instant to before the last; panes are looked at whole."""
    seen = board()
    seen.fold(Source(0).menus(-0.001, 1).menus(0, 2).menus(59.999, 4).menus(60, 8).flush(), T0_MS)
    assert [total(seen).denominator, total(seen, from_s=-10).denominator, total(seen, to_s=70).denominator] == [6, 7, 14]


def test_only_a_newer_version_replaces_a_pane() -> None:
    """Flushes in any order and twice, and a repair that takes events away."""
    source = Source(0)
    first, second = source.menus(1, 10).flush(), source.menus(1, 5).flush()
    for order in ([first, second], [second, first], [first, second, first, second]):
        seen = board()
        for one in order:
            seen.fold(one, T0_MS)
        assert total(seen) == Tally(0, 15)
    repaired = second.panes[0].model_copy(update={"version": second.panes[0].version + 1, "count": 14})
    seen.fold(second.model_copy(update={"panes": [repaired], "watermark": None}), T0_MS)
    seen.fold(second, T0_MS)
    assert total(seen) == Tally(0, 14)


def test_buckets_are_summed_over_partitions_panes_and_versions() -> None:
    """A quantile's window slides either way; a newer version replaces the buckets of the older one."""
    of = key("p95_time > 1s")
    seen, labels = board(of), {"provider": "a", "outcome": "full"}
    for at_s, values in ((5, {1: 2}), (15, {1: 1, 9: 4}), (65, {30: 1})):
        seen.fold(flush(0, 65, pane("menu_generation", labels, at_s, 9, buckets=values)), T0_MS)
    seen.fold(flush(1, 65, pane("menu_generation", labels, 15, 9, buckets={9: 5})), T0_MS)

    def buckets(from_s: int, to_s: int) -> dict[int, int]:
        return dict(seen.measures[of].buckets((), pane_of(now_at(from_s)), pane_of(now_at(to_s))))

    assert [buckets(0, 60), buckets(10, 70), buckets(20, 80), buckets(0, 60)] == [{1: 3, 9: 9}, {1: 1, 9: 9, 30: 1}, {30: 1}, {1: 3, 9: 9}]
    seen.fold(flush(0, 65, pane("menu_generation", labels, 15, 2, buckets={9: 1, 12: 1}, version=4)), T0_MS)
    assert buckets(0, 60) == {1: 2, 9: 6, 12: 1}
    assert total(seen, of) == Tally(9, 9)


def test_a_quantiles_window_leaves_nothing_behind_when_it_goes_on_after_a_gap() -> None:
    """A window of an hour that nobody has looked at for 100 minutes: the panes that it began with are forgotten by then."""
    of = key("p95_time[1h] > 1s")
    seen, labels = board(of, lookback_ms=60 * MINUTE_MS), {"provider": "a", "outcome": "full"}
    for at_s, bucket in ((0, 1), (3500, 5)):
        seen.fold(flush(0, at_s, pane("menu_generation", labels, at_s, 9, buckets={bucket: 9})), T0_MS)
    assert seen.measures[of].buckets((), pane_of(T0_MS), pane_of(now_at(3600))) == {1: 9, 5: 9}
    seen.fold(flush(0, 6000, pane("menu_generation", labels, 6000, 2, buckets={30: 2})), T0_MS)
    assert seen.measures[of].buckets((), pane_of(now_at(2410)), pane_of(now_at(6010))) == {5: 9, 30: 2}


def test_a_quantile_is_the_middle_of_the_bucket_of_its_rank() -> None:
    """Rank ceil(0.95 * n), in order of the values; zeros come first, those still to come too."""
    assert quantile_of({-32768: 1, 0: 18, 320: 1}, 0.95) == 2 ** (0.5 / 32)
    assert quantile_of({0: 18, 320: 2}, 0.95) == 2 ** (320.5 / 32)
    assert quantile_of({0: 18, 320: 2}, 0.95, 20) == 2 ** (0.5 / 32)
    assert quantile_of({-32768: 20}, 0.95) == 0.0
    assert quantile_of({}, 0.95) is None
    assert quantile_of({5: 1}, 0.95, 20) == 0.0


def test_the_effective_watermark_is_the_higher_of_watermark_and_caught_up_less_two_seconds() -> None:
    """A partition that is read to its end is as far as the clock, less 2 s; it never goes back; the board is as far as the last one."""
    seen, source = board(), Source(0)
    seen.fold(source.menus(30).flush(caught_up_s=31.5), T0_MS)
    assert seen.effective_watermark_ms(0) == T0_MS + 30_000
    seen.fold(source.flush(caught_up_s=40), T0_MS)
    assert seen.effective_watermark_ms(0) == T0_MS + 38_000
    seen.fold(source.menus(35).flush(), T0_MS)
    assert seen.effective_watermark_ms(0) == T0_MS + 38_000
    assert seen.watermark_ms is None
    seen.fold(Source(1).menus(7).flush(), T0_MS)
    assert seen.watermark_ms == T0_MS + 7_000


def test_a_part_of_a_flush_brings_panes_but_neither_watermark_nor_offset() -> None:
    """Only the last part says how far the partition is."""
    seen = board()
    seen.fold(Source(0).menus(30, 7).flush(with_watermark=False), T0_MS)
    assert total(seen) == Tally(0, 7)
    assert (seen.effective_watermark_ms(0), seen.last_offsets) == (None, (-1, -1))


def test_partitions_are_missing_when_unknown_or_behind() -> None:
    """One that has said nothing, and one a millisecond short of what is asked."""
    seen = board(partitions=3)
    seen.fold(Source(0).menus(50).flush(), T0_MS)
    seen.fold(Source(1).menus(49.999).flush(), T0_MS)
    assert seen.missing(T0_MS + 50_000) == (1, 2)
    assert seen.missing(T0_MS + 50_001) == (0, 1, 2)


def test_a_partition_has_stalled_when_others_flushed_ten_seconds_later() -> None:
    """By the timestamps of the log, in whatever order they are read, or by the clock; one that never flushed has not stalled."""
    seen = board(partitions=3)
    for partition, at_s in ((0, 20), (1, 10), (0, 15)):
        seen.fold(Source(partition).menus(1).flush(), now_at(at_s))
    assert seen.stalled() == ()
    assert seen.stalled(now_at(20.001)) == (1,)
    seen.fold(Source(0).menus(1).flush(), now_at(20.001))
    assert (seen.stalled(), seen.flushed_ms(0), seen.flushed_ms(2)) == ((1,), now_at(20.001), None)


def test_panes_beyond_memory_are_forgotten_and_refused() -> None:
    """What is older than a window and the time for late data takes no room and cannot come back; a series without panes goes too."""
    seen, of = board(partitions=1), Source(0)
    old = of.menus(5, 3, provider="gone").flush()
    seen.fold(old, T0_MS)
    later_s = (MINUTE_MS + LATE_MS) // 1000 + 700
    seen.fold(of.menus(later_s, 1).flush(), T0_MS)
    seen.fold(old, T0_MS)
    assert total(seen) == Tally()
    metric = seen._metrics["menu_generation"]
    assert (list(metric.cells), [labels for labels, _ in metric.series]) == ([pane_of(now_at(later_s))], [("outcome", "full")])


def test_a_forgotten_series_makes_room_for_another() -> None:
    """Rows are used again, and begin at zero."""
    of = key("error_rate > 5%", "provider")
    seen, source, late_s = board(of, partitions=1), Source(0), (MINUTE_MS + LATE_MS) // 1000 + 700
    seen.fold(source.menus(5, 3, provider="gone").flush(), T0_MS)
    seen.fold(source.menus(late_s, 1, provider="next").flush(), T0_MS)
    seen.fold(source.menus(late_s, 1, provider="third").flush(), T0_MS)
    numbers = {series: total(seen, of, late_s - 60, late_s + 10, series) for series in seen.measures[of].rows}
    assert numbers == {(("provider", "next"),): Tally(0, 1), (("provider", "third"),): Tally(0, 1)}


@pytest.mark.parametrize("between", [True, False])
def test_a_pane_takes_the_place_of_one_that_is_forgotten(between: bool) -> None:
    """The ring has gone round once, step by step or in one leap: of what was there before nothing is left."""
    seen, source = board(partitions=1), Source(0)
    seen.fold(source.menus(5, 100).flush(), T0_MS)
    lap_s = 10 * seen.measures[ERRORS].panes
    if between:
        seen.fold(source.menus(lap_s - 5, 1).flush(), T0_MS)
    seen.fold(source.menus(lap_s + 5, 7).flush(), T0_MS)
    assert total(seen, from_s=lap_s, to_s=lap_s + 60) == Tally(0, 7)
    assert seen.events_by_partition(seen.measures[ERRORS], (), pane_of(now_at(lap_s)), pane_of(now_at(lap_s + 60))) == [7]


def test_metrics_that_no_rule_uses_take_no_room() -> None:
    """Only panes of what is measured are kept."""
    seen = board(partitions=1)
    seen.fold(flush(0, 5, pane("web_vital", {}, 0, 1)), T0_MS)
    assert (set(seen._metrics), seen.take_touched(0), seen.last_offsets) == ({"menu_generation"}, {}, (1,))


def test_touched_panes_are_told_once_per_partition() -> None:
    """Panes that changed; an old snapshot changes nothing."""
    seen, source = board(), Source(0)
    one = source.menus(5).menus(25).flush()
    seen.fold(one, T0_MS)
    assert seen.take_touched(1) == {}
    assert seen.take_touched(0) == {seen.measures[ERRORS]: {(): {pane_of(T0_MS), pane_of(T0_MS) + 2}}}
    seen.fold(one, T0_MS)
    assert seen.take_touched(0) == {}


def stored(counts: dict[int, int], outcome: str = "full", *, version: int = 20, buckets: dict[int, int] | None = None) -> StoredPanes:
    """Panes of partition 0, by seconds; a menu takes a second."""
    starts_ms, events = [now_at(start_s) for start_s in counts], list(counts.values())
    sums, of_each = [1_000_000_000 * n for n in events], [] if buckets is None else [buckets] * len(counts)
    labels = {"provider": "ollama", "outcome": outcome}
    return StoredPanes(0, "menu_generation", labels, starts_ms, [version] * len(counts), events, sums, of_each)


def test_stored_panes_are_counted_like_those_of_flushes() -> None:
    """Failures over all, the mean, the histogram and each partition's share; nothing is said of how far the partition is."""
    mean, p95 = key("avg_time > 30s"), key("p95_time > 30s")
    seen = board(ERRORS, mean, p95)
    seen.fold_stored(stored({0: 70, 10: 20}, buckets={320: 7}))
    seen.fold_stored(stored({10: 10}, "failed", buckets={330: 1}))
    assert total(seen) == Tally(10, 100)
    assert total(seen, mean) == Tally(100_000_000_000, 100)
    assert seen.measures[p95].buckets((), pane_of(T0_MS), pane_of(now_at(60))) == {320: 14, 330: 1}
    assert by_partition(seen) == [100, 0]
    assert (seen.last_offsets, seen.effective_watermark_ms(0), seen.flushed_ms(0)) == ((-1, -1), None, None)


@pytest.mark.parametrize(("version", "counted"), [(18, 5), (22, 9)])
def test_a_later_flush_replaces_a_stored_pane_if_its_version_is_higher(version: int, counted: int) -> None:
    """Whichever comes first: a stored pane that is older than a flush changes nothing either."""
    later = flush(0, 5, pane("menu_generation", {"provider": "ollama", "outcome": "full"}, 0, 9, version=version))
    seen, other = board(), board()
    seen.fold_stored(stored({0: 5}))
    seen.fold(later, T0_MS)
    other.fold(later, T0_MS)
    other.fold_stored(stored({0: 5}))
    assert total(seen).denominator == counted
    assert total(other).denominator == counted


def test_stored_panes_that_nothing_looks_back_to_are_left_out() -> None:
    """Too old for the memory, of a metric that no rule names, or none at all."""
    seen = board()
    seen.fold_stored(stored({-3_000: 7, 0: 3}))
    seen.fold_stored(stored({0: 3})._replace(metric="payment"))
    seen.fold_stored(stored({}))
    assert total(seen, from_s=-3_600) == Tally(0, 3)
