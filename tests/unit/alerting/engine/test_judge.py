from __future__ import annotations

import pytest

from alerting.engine.judge import Judge, bucketed_metrics_of, lookback_ms, metrics_of
from alerting.engine.series import Series
from schemas.pane import Flush, Pane
from tests.unit.alerting.engine.panes import flush, judge_of, level, pane, rule
from tests.unit.alerting.traffic import Source, now_at, sources

HOSTS = rule("cpu > 80% OR memory > 85%", by=["host"], more=", window: 10m")
ABSENT = rule("absent(event_count)", name="absent", by=["event_type", "service"], more=", window: 10m")


def host(name: str, at_s: float, ratio: float, count: int = 30, *, resource: str = "cpu", version: int = 2) -> Pane:
    total = round(ratio * 1_000_000) * count
    return pane("resource_usage", {"host": name, "resource": resource}, at_s, count, total=total, version=version)


def hosts(*names: str) -> list[Series]:
    return [(("host", name),) for name in names]


def verdicts(judge: Judge, flushes: list[Flush], at_s: float) -> dict[str, str]:
    """What is said last of each host (or event type) by these flushes."""
    judgements = [judgement for one in flushes for judgement in judge.flush(one, now_at(at_s))]
    return {dict(judgement.series).popitem()[1]: judgement.held_by or judgement.verdict for judgement in judgements}


def test_every_host_is_judged_by_its_own_numbers() -> None:
    """One of three is busy in its processor, one in its memory; a host that sends nothing is not spoken of."""
    panes = [host("a", 5, 0.9), host("b", 5, 0.2), host("c", 5, 0.2), host("c", 5, 0.86, resource="memory")]
    panes += [host("a", 5, 0.1, resource="memory"), host("b", 5, 0.1, resource="memory")]
    judge = judge_of(HOSTS, flushes=level([], 55)[1:])
    said = {
        judgement.series: judgement for judgement in judge.flush(flush(0, 55, *panes), now_at(60)) if judgement.window_to_ms == now_at(60)
    }
    assert list(said) == hosts("a", "b", "c")
    assert [judgement.verdict for judgement in said.values()] == ["true", "false", "true"]
    assert said[hosts("c")[0]].reason() == "memory > 85% is true: 86 % (mean of 30)"
    assert [term.value for term in said[hosts("a")[0]].terms] == [0.9, 0.1]


def test_a_series_is_judged_when_touched_and_all_at_each_step() -> None:
    """Within ten seconds only what came is looked at; at the next pane every host with events in the window is."""
    judge = judge_of(HOSTS, flushes=level([], 51)[1:])
    assert set(verdicts(judge, [flush(0, 52, host("a", 51, 0.9), host("b", 51, 0.5))], 52)) == {"a", "b"}
    assert set(verdicts(judge, [flush(0, 54, host("b", 53, 0.5, version=4))], 54)) == {"b"}
    assert verdicts(judge, [flush(0, 56)], 56) == {}
    assert set(verdicts(judge, [flush(0, 60)], 60)) == {"a", "b"}


def test_a_watched_series_is_looked_at_without_events() -> None:
    """An incident's host that sends nothing any more is unknown at each step until it is not watched."""
    judge = judge_of(HOSTS, flushes=level([host("a", 5, 0.9)], 55))
    judge.watch("r", hosts("a")[0])
    judge.watch("no rule", hosts("a")[0])
    late = [flush(partition, 720) for partition in range(12)]
    assert verdicts(judge, late, 720) == {"a": "n"}
    judge.unwatch("r", hosts("a")[0])
    assert verdicts(judge, [flush(0, 731)], 731) == {}


def test_late_panes_are_judged_in_every_window_they_lie_in() -> None:
    """A pane of 20 s, at 65 s: the windows that end from 30 s to the open pane's end at 70 s, oldest first."""
    judge = judge_of(rule("error_rate > 5%"), flushes=level([], 65))
    source = Source(0, watermark_ms=now_at(65))
    ends = [judgement.window_to_ms for judgement in judge.flush(source.failures(25, 30).flush(), now_at(66))]
    assert ends == [now_at(second) for second in (30, 40, 50, 60, 70)]


def test_only_a_whole_flush_is_judged_and_its_parts_with_it() -> None:
    """A part carries no watermark; what it brought is looked at with the last one, a repair's panes with the next flush."""
    judge, source = judge_of(rule("error_rate > 5%")), Source(0)
    assert list(judge.flush(source.failures(5, 30).flush(with_watermark=False), now_at(6))) == []
    looked = list(judge.flush(source.flush(caught_up_s=27), now_at(27)))
    assert [judgement.window_to_ms for judgement in looked] == [now_at(10), now_at(20), now_at(30)]
    assert looked[0].deciding.denominator == 30


def test_windows_that_begin_before_the_log_was_read_are_not_judged() -> None:
    """Complete from 10 s on: the minute that ends at 60 s is not, the one that ends at 70 s is; absence needs the hour before, too."""
    judge = Judge([rule("error_rate > 5%"), ABSENT], complete_from_ms=now_at(10))
    said = [j.window_to_ms for at_s in (55, 65) for j in judge.flush(Source(0).failures(at_s, 30).flush(), now_at(at_s))]
    assert said == [now_at(70)]


def test_all_that_came_since_is_judged_together() -> None:
    """Nine failures in each of four minutes: too few in a window, 36 since the first; what is before that, or forgotten, is left out."""
    of, source = rule("error_rate > 5%"), Source(0)
    for minute in range(4):
        source.failures(minute * 60 + 5, 9)
    judge = judge_of(of, flushes=[source.flush(caught_up_s=237)], partitions=1)
    window = (now_at(240), now_at(235))
    assert judge.look(of, (), *window).held_by == "n"
    since = judge.look_since(of, (), now_at(1), *window)
    assert (since.verdict, since.deciding.denominator, since.deciding.window_from_ms) == ("true", 27, now_at(10))
    assert judge.look_since(of, (), now_at(-7200), *window).deciding.window_from_ms == now_at(240 - 3600)
    judge.complete_from_ms = now_at(61)
    assert judge.look_since(of, (), now_at(1), *window).deciding.window_from_ms == now_at(70)


def usual_hour(per_slot: int, slots: int = 6) -> list[Pane]:
    """Events of a producer every ten minutes of the hour before the window that ends at 600 s."""
    return [pane("events", {"event_type": "payment", "service": "shop"}, -600 * slot - 10, per_slot) for slot in range(slots)]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (usual_hour(10), 0, "true"),
        (usual_hour(10), 1, "false"),
        (usual_hour(9), 0, "expected"),
        (usual_hour(600, slots=1), 0, "expected"),  # a nightly job is not missed for the rest of the hour
    ],
)
def test_a_producer_that_falls_silent_is_absent(before: list[Pane], now: int, said: str) -> None:
    """Ten minutes without an event where ten would have come; who sends less is not missed."""
    current = [pane("events", {"event_type": "payment", "service": "shop"}, 300, now)] if now else []
    judge = judge_of(ABSENT, flushes=[*level(before, -5), *level([], 589)], at_s=589)
    assert verdicts(judge, level(current, 595), 595)["shop"] == said


@pytest.mark.parametrize("quantity", ["error_rate", "avg_time", "p95_time", "menus"])
def test_whatever_is_measured_can_be_absent(quantity: str) -> None:
    """Of a ratio, a mean or a quantile it is the events that are missed: no number of failures is asked for."""
    of = rule(f"absent({quantity})", more=", window: 10m")
    labels = {"provider": "a", "outcome": "full"}
    before = [pane("menu_generation", labels, -600 * slot - 10, 10, total=9, buckets={3: 10}) for slot in range(6)]
    judge = judge_of(of, flushes=[*level(before, -5), *level([], 589)], at_s=589)
    (judgement,) = judge.flush(flush(0, 595), now_at(595))
    assert (judgement.verdict, judgement.deciding.value, judgement.deciding.baseline) == ("true", 0, 10)


def test_absence_is_held_while_a_partition_is_missing_or_does_not_flush() -> None:
    """What would disprove it may lie in the partition that is away."""
    judge = judge_of(ABSENT, flushes=[*level(usual_hour(10), -5), *level([], 589)[:11]], at_s=589)
    assert verdicts(judge, level([], 595)[:11], 595)["shop"] == "partitions"
    assert verdicts(judge, [flush(11, 605)], 606)["shop"] == "pipeline"
    assert verdicts(judge, level([], 609), 609) == {}
    assert verdicts(judge, [flush(0, 612)], 612)["shop"] == "true"


def test_absence_says_what_was_expected() -> None:
    """The term is a count beside the number that would have come."""
    judge = judge_of(ABSENT, flushes=[*level(usual_hour(12), -5), *level([], 589)], at_s=589)
    judgement = [judgement for one in level([], 595) for judgement in judge.flush(one, now_at(595))][-1]
    term = judgement.deciding.term
    assert (term.value, term.baseline, term.unit, term.denominator) == (0, 12, "count", 0)
    assert judgement.reason() == "absent(event_count) is true: 0 (usually 12)"


def test_silent_partitions_are_judged_by_the_log_and_the_clock() -> None:
    """Nothing before it listens; unknown until all have flushed since; true when one is silent for more than 10 s since its last flush."""
    stalled = rule("flush_age > 10s")
    judge = judge_of(stalled, flushes=[source.flush() for source in sources()], at_s=0)

    def at(at_s: float) -> tuple[str, int]:
        (judgement,) = judge.tick(now_at(at_s))
        return judgement.verdict, judgement.anchor_ms - now_at(0)

    assert list(judge.tick(now_at(1))) == []
    judge.listen(now_at(20))
    assert at(21) == ("unknown", 20_000)
    for partition in range(12):
        judge.remember(Source(partition).flush(), now_at(22 + partition / 10))
    assert at(25) == ("false", 22_000)
    assert at(32) == ("false", 22_000)
    assert at(32.001) == ("true", 22_000)
    (judgement,) = judge.tick(now_at(40))
    assert judgement.reason() == "flush_age > 10s is true: 18 s (no flush from partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)"
    assert (judgement.sql(judgement.deciding), judgement.window_sql(judgement.deciding)) == ("", "")


def test_what_is_to_be_read_for_the_rules() -> None:
    """Metrics, those with buckets, and how far back: absence looks an hour further than its window."""
    rules = [HOSTS, rule("p95_time[1h] > 10s"), rule("satisfaction_score[7d] < 4.0"), rule("flush_age > 10s")]
    assert metrics_of(rules) == {"resource_usage", "menu_generation"}
    assert bucketed_metrics_of(rules) == {"menu_generation"}
    assert [lookback_ms(rules), lookback_ms([ABSENT]), lookback_ms([])] == [3_600_000, 4_200_000, 0]
