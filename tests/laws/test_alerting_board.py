from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.board import Board
from alerting.engine.evaluate import judge
from schemas.pane import PANE_MS, Flush
from tests.unit.alerting.stage import CONFIG
from tests.unit.alerting.traffic import T0_MS, Source

PARTITIONS = 3

#: (partition, second, outcome, count, flush afterwards?)
menus = st.tuples(
    st.integers(0, PARTITIONS - 1), st.integers(0, 90), st.sampled_from(["full", "degraded", "failed"]), st.integers(1, 30), st.booleans()
)


def flushes_of(events: list[tuple[int, int, str, int, bool]]) -> list[Flush]:
    sources = [Source(partition) for partition in range(PARTITIONS)]
    flushes = []
    for partition, second, outcome, count, now in events:
        sources[partition].menus(second, count, outcome=outcome, each_ms=float(second * 700))
        if now:
            flushes.append(sources[partition].flush())
    return flushes + [source.flush(caught_up_s=92) for source in sources]


def final(flushes: list[Flush]) -> list[object]:
    """What every rule says of every window once all flushes are in."""
    board = Board(["menu_generation"], PARTITIONS)
    for flush in flushes:
        board.fold(flush)
    rules = [rule for rule in CONFIG.rules if not rule.watches_pipeline]
    return [judge(rule, board, T0_MS + end * PANE_MS, T0_MS + min(end * PANE_MS, 90_000)) for rule in rules for end in range(1, 11)]


@given(st.lists(menus, max_size=60), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_repeats_and_older_versions_of_flushes_change_no_verdict(
    events: list[tuple[int, int, str, int, bool]],
    random: Random,
) -> None:
    """Any order of the same flushes, each any number of times, ends in the same judgements, evidence included."""
    flushes = flushes_of(events)
    shuffled = flushes + [random.choice(flushes) for _ in range(10)]
    random.shuffle(shuffled)
    assert final(shuffled) == final(flushes)


@given(st.lists(menus, max_size=60))
@settings(deadline=None)
def test_a_board_counts_what_was_sent(events: list[tuple[int, int, str, int, bool]]) -> None:
    """Over any window, numerator and denominator are the events sent for it, however they were flushed."""
    board = Board(["menu_generation"], PARTITIONS)
    for flush in flushes_of(events):
        board.fold(flush)
    error_rate, mean = next(rule for rule in CONFIG.rules if not rule.watches_pipeline).condition.comparisons
    for from_s, to_s in ((0, 60), (30, 90), (40, 100), (90, 100)):
        inside = [(second, outcome, count) for _, second, outcome, count, _ in events if from_s <= second < to_s]
        window = (T0_MS + from_s * 1000, T0_MS + to_s * 1000)
        rates, times = board.tally(error_rate, *window), board.tally(mean, *window)
        assert sum(tally.denominator for tally in rates) == sum(count for _, _, count in inside)
        assert sum(tally.numerator for tally in rates) == sum(count for _, outcome, count in inside if outcome == "failed")
        assert sum(tally.numerator for tally in times) == sum(second * 700 * 1_000_000 * count for second, _, count in inside)
