from __future__ import annotations

import pytest

from alerting.engine.board import Board
from alerting.engine.evaluate import judge
from alerting.engine.evidence import Judgement
from alerting.engine.rule import Rule, parse_rules
from tests.unit.alerting.traffic import T0_MS, Source, sources


def rule(condition: str = "error_rate > 5% OR avg_time > 30s") -> Rule:
    text = f"rules: [{{name: r, condition: '{condition}', channels: [c], severity: critical, runbook: x}}]"
    return parse_rules(text)[0]


def look(all_sources: list[Source], of: Rule | None = None, *, at_s: float = 50.5, end_s: int = 60) -> Judgement:
    """Judge the window that ends at `end_s` after every source has flushed, idle ones as caught up at `at_s` + 2 s."""
    of = of or rule()
    board = Board(["menu_generation"], 12)
    for source in all_sources:
        board.fold(source.flush(caught_up_s=at_s + 2))
    return judge(of, board, T0_MS + end_s * 1000, T0_MS + round(at_s * 1000))


@pytest.mark.parametrize(
    ("full", "failed", "verdict", "held_by"),
    [
        (0, 19, "unknown", "n"),  # 100 %, but 19 events
        (18, 2, "true", ""),  # 10 % of 20
        (19, 1, "false", ""),  # exactly 5 % is not above it
        (94, 6, "true", ""),
        (1000, 52, "false", ""),  # 4.943 %
        (1000, 53, "true", ""),  # 5.033 %
        (0, 0, "unknown", "n"),
    ],
)
def test_the_error_rate_decides_from_twenty_events_on(full: int, failed: int, verdict: str, held_by: str) -> None:
    """More than 5 % of at least 20 events is true; fewer events are no evidence either way."""
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
    """Two partitions: one in with 100 events, one behind with 40. It may bring 60 more: 10 of 200 is 5 %, 11 of 200 is above."""
    for failed, verdict in ((10, "unknown"), (11, "true")):
        board = Board(["menu_generation"], 2)
        board.fold(Source(0).menus(50, 100 - failed).failures(50, failed).flush())
        board.fold(Source(1).menus(39, 40).flush())
        assert judge(rule(), board, T0_MS + 60_000, T0_MS + 50_000).verdict == verdict


def test_a_partition_is_in_when_at_most_ten_seconds_behind() -> None:
    """Judged to 50 s, a watermark of 40 s is level and one a millisecond lower is not."""
    for behind_at_s, verdict in ((40, "false"), (39.999, "unknown")):
        board = Board(["menu_generation"], 2)
        board.fold(Source(0).menus(50, 100).flush())
        board.fold(Source(1).menus(behind_at_s, 1).flush())
        assert judge(rule(), board, T0_MS + 60_000, T0_MS + 50_000).verdict == verdict


def test_a_lower_bound_never_fires_on_part_of_the_data() -> None:
    """What is missing could bring anything above the threshold, so `<` waits for all partitions."""
    fast = rule("avg_time < 2s")
    (only, *_) = sources()
    assert look([only.menus(10, 100)], fast).held_by == "partitions"
    assert look([source.menus(10, 100) for source in sources()], fast).verdict == "true"


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        ('error_rate > 5% OR error_rate{provider="x"} > 5%', "true"),  # true or unknown
        ('error_rate > 5% AND error_rate{provider="x"} > 5%', "unknown"),  # true and unknown
        ('avg_time > 30s OR error_rate{provider="x"} > 5%', "unknown"),  # false or unknown
        ('avg_time > 30s AND error_rate{provider="x"} > 5%', "false"),  # false and unknown
        ("error_rate > 5% AND avg_time < 2s", "true"),
        ("error_rate > 5% AND avg_time > 30s", "false"),
    ],
)
def test_or_and_and_follow_three_valued_logic(condition: str, verdict: str) -> None:
    """There are no events of provider x, so comparisons on it are unknown; the error rate is true, the mean is a second."""
    traffic = sources()
    traffic[0].menus(10, 50).failures(10, 50)
    judged = look(traffic, rule(condition))
    assert judged.verdict == verdict
    assert judged.deciding.term.verdict == verdict


def test_a_comparisons_own_window_replaces_the_rules() -> None:
    """`error_rate[10s]` looks at the open pane alone."""
    for condition, verdict, from_s in (("error_rate > 5%", "false", 0), ("error_rate[10s] > 5%", "true", 50)):
        traffic = sources()
        traffic[0].menus(10, 980).menus(50.2, 18).failures(50.3, 2)
        judged = look(traffic, rule(condition))
        assert (judged.verdict, judged.deciding.window_from_ms) == (verdict, T0_MS + from_s * 1000)


def test_the_evidence_names_gates_window_watermark_and_offsets() -> None:
    """What the verdict rests on is in the judgement, term by term."""
    traffic = sources()
    traffic[3].menus(10, 18).failures(20, 2)
    judged = look(traffic)
    error_rate = judged.evidence[0].term
    assert (error_rate.verdict, error_rate.value, error_rate.numerator, error_rate.denominator) == ("true", 0.1, 2, 20)
    assert [(gate.name, gate.passed, gate.detail) for gate in judged.deciding.gates] == [
        ("n", True, "20 events, at least 20 needed"),
        ("partitions", True, "all 12 partitions are in"),
    ]
    assert judged.watermark_ms == judged.judged_to_ms == T0_MS + 50_500
    assert judged.last_offsets == (-1, -1, -1, 19, -1, -1, -1, -1, -1, -1, -1, -1)
    assert judged.reason() == "error_rate > 5% is true: 10 % (2 of 20)"
