from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.judge import Judge
from alerting.engine.measure import quantile_of
from pipeline.aggregation.histogram import bucket_of, quantile
from schemas.pane import PANE_MS, Flush
from tests.unit.alerting.engine.panes import rule
from tests.unit.alerting.traffic import T0_MS, Source, now_at

PARTITIONS = 3
RULES = [
    rule(),
    rule('full_success_rate < 50% AND NOT menus{provider!="p1"} > 100', name="low"),
    rule("error_rate > 5% OR absent(menus)", name="providers", by=["provider"]),
]

#: (partition, second, provider, outcome, count, flush afterwards?)
menus = st.tuples(
    st.integers(0, PARTITIONS - 1),
    st.integers(0, 90),
    st.sampled_from(["p1", "p2"]),
    st.sampled_from(["full", "degraded", "failed"]),
    st.integers(1, 30),
    st.booleans(),
)
Menus = list[tuple[int, int, str, str, int, bool]]


def flushes_of(events: Menus) -> list[tuple[Flush, int]]:
    """Each with the timestamp of its record."""
    sources = [Source(partition) for partition in range(PARTITIONS)]
    flushes: list[tuple[Flush, int]] = []
    for partition, second, provider, outcome, count, now in events:
        sources[partition].menus(second, count, provider=provider, outcome=outcome, each_ms=float(second * 700))
        if now:
            flushes.append((sources[partition].flush(), now_at(90 + len(flushes) / 10)))
    return flushes + [(source.flush(caught_up_s=92), now_at(97 + source.partition)) for source in sources]


def final(flushes: list[tuple[Flush, int]]) -> list[object]:
    """What every rule says of every window and series once all flushes are in."""
    judge = Judge(RULES, partitions=PARTITIONS)
    for flush, at_ms in flushes:
        judge.remember(flush, at_ms)
    return [
        (judgement, judgement.terms, judgement.gates, judgement.sql(judgement.deciding))
        for of in RULES
        for series in ([(("provider", "p1"),), (("provider", "p2"),)] if of.by else [()])
        for end in range(1, 11)
        for judgement in [judge.look(of, series, T0_MS + end * PANE_MS, T0_MS + min(end * PANE_MS, 90_000))]
    ]


@given(st.lists(menus, max_size=40), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_order_repeats_and_older_versions_of_flushes_change_no_verdict(events: Menus, random: Random) -> None:
    """Any order of the same flushes, each any number of times, ends in the same judgements, evidence included."""
    flushes = flushes_of(events)
    shuffled = flushes + [random.choice(flushes) for _ in range(10)]
    random.shuffle(shuffled)
    assert final(shuffled) == final(flushes)


@given(st.lists(menus, max_size=40))
@settings(deadline=None, max_examples=30)
def test_a_board_counts_what_was_sent(events: Menus) -> None:
    """Over any window, numerator and denominator are the events sent for it, however they were flushed; by series, too."""
    judge = Judge(RULES, partitions=PARTITIONS)
    for flush, at_ms in flushes_of(events):
        judge.remember(flush, at_ms)
    for to_s in (10, 60, 90, 100):
        inside = [event for event in events if to_s - 60 <= event[1] < to_s]
        rates, times = judge.look(RULES[0], (), now_at(to_s), now_at(90)).evidence
        assert rates.denominator == times.denominator == sum(event[4] for event in inside)
        assert rates.numerator == sum(event[4] for event in inside if event[3] == "failed")
        assert times.numerator == sum(event[1] * 700 * event[4] for event in inside)
        of_one = judge.look(RULES[2], (("provider", "p1"),), now_at(to_s), now_at(90)).evidence[0]
        assert of_one.denominator == sum(event[4] for event in inside if event[2] == "p1")


@given(st.lists(st.floats(-1, 1e6), min_size=1, max_size=60), st.integers(1, 999))
@settings(max_examples=50)
def test_a_quantile_is_that_of_the_contract(values: list[float], thousandths: int) -> None:
    """The engine's own reading of a histogram is the aggregation's."""
    buckets: dict[int, int] = {}
    for value in values:
        buckets[bucket_of(value)] = buckets.get(bucket_of(value), 0) + 1
    of_rank = sorted(values)[-(-thousandths * len(values) // 1000) - 1]
    expected = quantile({bucket_of(of_rank): 1}, 0.5)
    assert quantile_of(buckets, thousandths / 1000) == expected
