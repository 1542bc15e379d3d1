from __future__ import annotations

import pytest

from alerting.engine.evidence import Judgement
from alerting.engine.judge import Judge
from alerting.engine.rule import Rule
from schemas.pane import Flush
from tests.unit.alerting.engine.panes import flush, judge_of, level, pane, rule
from tests.unit.alerting.traffic import T0_MS, Source, now_at, sources

MENU = {"provider": "a", "outcome": "full"}


def look(all_sources: list[Source], of: Rule | None = None, *, at_s: float = 50.5, end_s: int = 60) -> Judgement:
    """Judge the window that ends at `end_s` after every source has flushed, idle ones as caught up at `at_s` + 2 s."""
    of = of or rule()
    return looked([source.flush(caught_up_s=at_s + 2) for source in all_sources], of, at_s=at_s, end_s=end_s)


def looked(flushes: list[Flush], of: Rule, *, at_s: float = 50.5, end_s: int = 60, partitions: int = 12) -> Judgement:
    return judge_of(of, flushes=flushes, partitions=partitions).look(of, (), now_at(end_s), now_at(at_s))


@pytest.mark.parametrize(
    ("full", "failed", "verdict", "held_by"),
    [
        (0, 19, "unknown", "n"),  # 100 %, but 19 events
        (11, 1, "unknown", "n"),
        (18, 2, "unknown", "errors"),  # 10 % of 20, but two errors
        (15, 5, "true", ""),
        (19, 1, "false", ""),  # exactly 5 % is not above it
        (94, 6, "unknown", "confidence"),  # 6 %, which 100 events at 5 % often show
        (90, 10, "true", ""),
        (1000, 52, "false", ""),  # 4.943 %
        (1000, 53, "unknown", "confidence"),
        (0, 0, "unknown", "n"),
    ],
)
def test_the_error_rate_decides_on_enough_events_and_errors(full: int, failed: int, verdict: str, held_by: str) -> None:
    """Above 5 % by more than chance, of at least 20 events, at least 5 of them failed; the gate that holds it is named."""
    traffic = sources()
    if full or failed:
        traffic[3].menus(10, full).failures(20, failed)
    judged = look(traffic)
    assert (judged.verdict, judged.held_by) == (verdict, held_by)


@pytest.mark.parametrize(("slowest_ms", "verdict"), [(30_000.0, "false"), (30_020.0, "true")])
def test_the_mean_time_decides_when_above_thirty_seconds(slowest_ms: float, verdict: str) -> None:
    """19 menus of 30 s and one that is slower by 20 ms: a mean of 30.001 s."""
    traffic = sources()
    traffic[3].menus(10, 19, each_ms=30_000).menus(11, 1, each_ms=slowest_ms)
    judged = look(traffic)
    assert (judged.verdict, judged.deciding.term.text) == (verdict, "avg_time > 30s" if verdict == "true" else "error_rate > 5%")
    assert judged.evidence[1].term.value == pytest.approx(30_000 + (slowest_ms - 30_000) / 20, abs=1e-9)


def test_failed_menus_count_in_the_mean() -> None:
    """avg_time is over all outcomes: ten failures of 61 s and ten menus of 1 s have a mean of 31 s."""
    traffic = sources()
    traffic[0].menus(10, 10, each_ms=1000).failures(10, 10, each_ms=61_000)
    assert look(traffic, rule("avg_time > 30s")).deciding.term.value == 31_000


def test_the_window_is_a_minute_that_ends_with_the_open_pane() -> None:
    """Failures at -0.001 s are before the window that ends at 60 s, those at 0 s and in the open pane are in it."""
    traffic = sources()
    traffic[0].failures(-0.001, 1000).menus(0, 30).failures(50.4, 10)
    judged = look(traffic)
    assert (judged.deciding.term.numerator, judged.deciding.term.denominator) == (10, 40)
    assert (judged.deciding.window_from_ms, judged.window_to_ms) == (T0_MS, T0_MS + 60_000)


@pytest.mark.parametrize(
    ("failed", "verdict", "held_by"),
    [
        (100, "true", ""),  # 100 of 100 + 11 x 100 to come: 8.3 %
        (61, "true", ""),  # 61 of 1200: 5.08 %
        (60, "unknown", "partitions"),  # exactly 5 %
        (0, "unknown", "partitions"),
    ],
)
def test_one_partition_alone_fires_only_what_the_others_could_not_overturn(failed: int, verdict: str, held_by: str) -> None:
    """With one of twelve partitions in, each other one may bring as many events as it has, none of them failed."""
    (only, *_) = sources()
    judged = look([only.menus(10, 100 - failed).failures(20, failed)])
    assert (judged.verdict, judged.held_by) == (verdict, held_by)


def test_a_partition_that_lags_counts_with_what_it_has() -> None:
    """Two partitions: one in with 200 events, one behind with 80. It may bring 120 more: 20 of 400 is 5 %, 21 of 400 is above."""
    for failed, verdict in ((20, "unknown"), (21, "true")):
        flushes = [Source(0).menus(50, 200 - failed).failures(50, failed).flush(), Source(1).menus(39, 80).flush()]
        assert looked(flushes, rule(), at_s=50, partitions=2).verdict == verdict


def test_a_partition_is_in_when_at_most_ten_seconds_behind() -> None:
    """Judged to 50 s, a watermark of 40 s is level and one a millisecond lower is not."""
    for behind_at_s, verdict in ((40, "false"), (39.999, "unknown")):
        flushes = [Source(0).menus(50, 100).flush(), Source(1).menus(behind_at_s, 1).flush()]
        assert looked(flushes, rule(), at_s=50, partitions=2).verdict == verdict


def test_low_values_never_fire_on_part_of_the_data() -> None:
    """What is missing could bring anything above the threshold: a low mean, or few events, wait for all partitions."""
    for fast in (rule("avg_time < 2s"), rule("menus < 2000")):
        (only, *_) = sources()
        assert look([only.menus(10, 100)], fast).held_by == "partitions"
        assert look([source.menus(10, 100) for source in sources()], fast).verdict == "true"


@pytest.mark.parametrize(("full", "verdict", "held_by"), [(0, "true", ""), (8, "true", ""), (10, "unknown", "partitions")])
def test_a_low_share_fires_when_all_that_is_missing_were_successes(full: int, verdict: str, held_by: str) -> None:
    """Of two partitions one is in with 100 menus: 8 full ones and 100 to come make 108 of 200, 54 %; 10 make 55 %."""
    flushes = [Source(0).menus(50, full).menus(50, 100 - full, outcome="degraded").flush(), Source(1).menus(30, 0).flush()]
    judged = looked(flushes, rule("full_success_rate < 55%"), at_s=50, partitions=2)
    assert (judged.verdict, judged.held_by) == (verdict, held_by)


def test_templates_behind_an_outage_of_all_providers_are_an_outage() -> None:
    """Nobody got an error, and full success is 20 %: below 50 % by more than chance."""
    traffic = sources()
    traffic[0].menus(10, 10).menus(10, 40, outcome="degraded")
    flushes = [source.flush(caught_up_s=52.5) for source in traffic]
    assert looked(flushes, rule("error_rate > 5%")).verdict == "false"
    judged = looked(flushes, rule("full_success_rate < 50%"))
    assert (judged.verdict, judged.reason()) == ("true", "full_success_rate < 50% is true: 20 % (10 of 50)")


def test_a_quantile_fires_above_its_threshold_and_survives_zeros_to_come() -> None:
    """p95 of 94 fast and 6 slow menus is slow; with a partition away that may bring 100 instant ones it is not certain."""
    slow, fast = 500, 200  # 2^(500.5/32) ms is 51 s, 2^(200.5/32) ms is 77 ms
    of = rule("p95_time > 10s")
    panes = [pane("menu_generation", MENU, 10, 100, buckets={fast: 94, slow: 6})]
    judged = looked(level(panes, 55), of)
    assert (judged.verdict, judged.deciding.value, judged.deciding.denominator) == ("true", 2 ** (500.5 / 32), 100)
    assert looked([flush(0, 55, *panes)], of, partitions=2).held_by == "partitions"
    all_slow = [pane("menu_generation", MENU, 10, 100, buckets={slow: 100})]
    assert looked([flush(0, 55, *all_slow)], of, partitions=2).verdict == "true"


def test_a_count_needs_no_number_of_events() -> None:
    """One signal is one too many, from whichever partition; none is false once all are in."""
    of = rule("security_signals > 0")
    one = pane("events", {"event_type": "security_signal", "service": "auth"}, 10, 1)
    other = pane("events", {"event_type": "payment", "service": "auth"}, 10, 9)
    assert looked([flush(0, 55, one, other)], of).verdict == "true"
    assert looked(level([other], 55), of).verdict == "false"
    assert looked([flush(0, 55, other)], of).held_by == "partitions"


def stalled(of: Rule, traffic: list[Flush], *, silent_s: float) -> Judgement:
    """Partition 11 flushed `silent_s` before the others."""
    judge = Judge([of])
    for one in traffic:
        judge.remember(one, now_at(60 - silent_s if one.source_partition == 11 else 60))
    return judge.look(of, (), now_at(60), now_at(50.5))


@pytest.mark.parametrize(("condition", "verdict"), [("error_rate > 5%", "false"), ("avg_time < 2s", "true"), ("menus < 2000", "true")])
def test_while_a_partition_does_not_flush_clear_and_drop_are_held(condition: str, verdict: str) -> None:
    """Its watermark is as high as the others', but for more than 10 s nothing has come from it."""
    flushes = [source.menus(10, 100).flush(caught_up_s=52.5) for source in sources()]
    assert stalled(rule(condition), flushes, silent_s=10).verdict == verdict
    judged = stalled(rule(condition), flushes, silent_s=10.001)
    assert (judged.verdict, judged.held_by, judged.reason()) == ("unknown", "pipeline", "no flush from partitions 11 for 10 s")


def test_while_a_partition_does_not_flush_an_outage_still_fires() -> None:
    """What is true of the data that is in stays true."""
    flushes = [source.failures(10, 100).flush(caught_up_s=52.5) for source in sources()]
    assert stalled(rule("error_rate > 5%"), flushes, silent_s=60).verdict == "true"


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ('error_rate > 5% OR error_rate{provider="x"} > 5%', "true"),  # true or unknown
        ('error_rate > 5% AND error_rate{provider="x"} > 5%', "unknown"),  # true and unknown
        ('avg_time > 30s OR error_rate{provider="x"} > 5%', "unknown"),  # false or unknown
        ('avg_time > 30s AND error_rate{provider="x"} > 5%', "false"),  # false and unknown
        ("error_rate > 5% AND avg_time < 2s", "true"),
        ("error_rate > 5% AND avg_time > 30s", "false"),
        ("error_rate > 5% AND NOT avg_time > 30s", "true"),
        ("NOT (error_rate > 5% OR avg_time > 30s)", "false"),
        ('NOT error_rate{provider="x"} > 5%', "unknown"),
    ],
)
def test_or_and_and_not_follow_three_valued_logic(condition: str, verdict: str) -> None:
    """There are no events of provider x, so comparisons on it are unknown; the error rate is true, the mean is a second."""
    traffic = sources()
    traffic[0].menus(10, 50).failures(10, 50)
    judged = look(traffic, rule(condition))
    assert judged.verdict == verdict
    assert judged.held_by == ("n" if verdict == "unknown" else "")


def test_a_comparisons_own_window_replaces_the_rules() -> None:
    """`error_rate[10s]` looks at the open pane alone."""
    for condition, verdict, from_s in (("error_rate > 5%", "false", 0), ("error_rate[10s] > 5%", "true", 50)):
        traffic = sources()
        traffic[0].menus(10, 980).menus(50.2, 15).failures(50.3, 5)
        judged = look(traffic, rule(condition))
        assert (judged.verdict, judged.deciding.window_from_ms) == (verdict, T0_MS + from_s * 1000)


def test_the_evidence_names_gates_window_watermark_and_offsets() -> None:
    """What the verdict rests on is in the judgement, term by term."""
    traffic = sources()
    traffic[3].menus(10, 15).failures(20, 5)
    judged = look(traffic)
    error_rate = judged.evidence[0].term
    assert (error_rate.verdict, error_rate.value, error_rate.numerator, error_rate.denominator) == ("true", 0.25, 5, 20)
    assert [(gate.name, gate.passed, gate.detail) for gate in judged.deciding.gates] == [
        ("n", True, "20 events, at least 20 needed"),
        ("errors", True, "5 of them count against it, at least 5 needed"),
        ("confidence", True, "0.1274 once chance is taken off, and the limit is 0.05"),
        ("partitions", True, "all 12 partitions are in"),
    ]
    assert judged.watermark_ms == judged.judged_to_ms == T0_MS + 50_500
    assert judged.last_offsets == (-1, -1, -1, 19, -1, -1, -1, -1, -1, -1, -1, -1)
    assert judged.reason() == "error_rate > 5% is true: 25 % (5 of 20)"
