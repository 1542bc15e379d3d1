from __future__ import annotations

from collections.abc import Iterable

import pytest

from alerting.engine.judge import Judge
from alerting.engine.readings import Question, answer, reading_from_decision, reading_to_decision
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.decision import Decision, Reading, parse_decision
from tests.unit.alerting.engine.panes import flush, judge_of, level, pane, rule
from tests.unit.alerting.traffic import now_at

EXPERIENCE = rule(
    "satisfaction_score < 4.0 OR retention_7d < 40%",
    more=", window: 7d, gates: {min_events: 30, min_events_of: {retention_7d: 100}}",
)
LIMITED = rule("rate_limited_share[15m] > 1%", by=["api"])
FEEDBACK = rule("feedback_count[24h] > 0", by=["kind"])
USAGE = rule("feature_usage[1h] drop > 30%", by=["flag"])
SLOWER = rule("p95_time[1h] degradation > 50%")

Row = tuple[dict[str, str], float, float, float | None]


def reading(question: Question, *rows: Row, at_s: float = 65) -> Reading:
    columns = ("labels", "numerator", "denominator", "value")
    return answer(question, [dict(zip(columns, row, strict=True)) for row in rows], now_at(at_s))


def asked(judge: Judge, name: str, at_s: float) -> Question:
    """The question that is about `name`, of those that are due."""
    (question,) = (one for one in judge.questions(now_at(at_s)) if name in one.question_id)
    return question


def said(judge: Judge, answered: Reading) -> list[tuple[Series, str]]:
    return [(judgement.series, judgement.held_by or judgement.verdict) for judgement in judge.reading(answered)]


def test_values_are_asked_for_once_a_minute_over_whole_minutes_that_are_stored() -> None:
    """Each question once, again five seconds after the next minute; of rules that ask the same, one."""
    judge = judge_of(EXPERIENCE, rule("satisfaction_score[7d] < 3.5", name="low"), LIMITED)
    first = judge.questions(now_at(65))
    assert [question.question_id for question in first] == [
        "satisfaction_score over 604800 s",
        "retention_7d",
        "rate_limited_share by api over 900 s",
    ]
    assert {question.window_to_ms for question in first} == {now_at(60)}
    assert first[2].window_from_ms == now_at(60 - 900)
    assert judge.questions(now_at(124.999)) == []
    assert [question.window_to_ms for question in judge.questions(now_at(125))] == [now_at(120)] * 3


@pytest.mark.parametrize(
    ("ratings", "cohort", "verdict"),
    [
        ((140.0, 40.0), (50.0, 100.0), "true"),  # 3.5
        ((160.0, 40.0), (50.0, 100.0), "false"),  # exactly 4.0
        ((58.0, 29.0), (50.0, 100.0), "n"),  # 29 ratings are too few
        ((160.0, 40.0), (20.0, 100.0), "true"),  # 20 % came back
        ((160.0, 40.0), (38.0, 100.0), "confidence"),  # 38 of 100 are not surely below 40 %
        ((160.0, 40.0), (0.0, 99.0), "n"),
    ],
)
def test_satisfaction_and_retention_are_judged_on_the_newest_answers(
    ratings: tuple[float, float], cohort: tuple[float, float], verdict: str
) -> None:
    """Each with as many events as its rule asks for; a ratio by more than chance."""
    judge = judge_of(EXPERIENCE)
    questions = judge.questions(now_at(65))
    for question, (numerator, denominator) in zip(questions, (ratings, cohort), strict=True):
        (last,) = said(judge, reading(question, ({}, numerator, denominator, numerator / denominator)))
    assert last == ((), verdict)


def test_every_series_of_an_answer_is_judged_and_watched_ones_that_are_not_in_it() -> None:
    """A kind that nobody sent today is false again: of a count, no row is zero."""
    judge = judge_of(FEEDBACK, LIMITED.model_copy(update={"name": "limited"}))
    (feedback, limited) = judge.questions(now_at(65))
    judge.watch("r", (("kind", "old"),))
    judge.watch("limited", (("api", "old"),))
    assert said(judge, reading(feedback, ({"kind": "idea"}, 1, 1, 1))) == [((("kind", "idea"),), "true"), ((("kind", "old"),), "false")]
    rows = [({"api": "a"}, 9.0, 900.0, 0.01), ({"api": "b"}, 40.0, 900.0, 40 / 900)]
    assert said(judge, reading(limited, *rows)) == [((("api", "a"),), "false"), ((("api", "b"),), "true"), ((("api", "old"),), "n")]


def test_an_answer_that_does_not_come_makes_the_rule_unknown_after_five_minutes() -> None:
    """Once a minute, with the window's end at that minute; a new answer ends it."""
    judge = judge_of(FEEDBACK.model_copy(update={"by": ()}))
    judge.listen(now_at(60))
    assert said(judge, reading(asked(judge, "feedback", 65), ({}, 3, 3, 3))) == [((), "true")]
    silence = [(second, j.held_by, j.window_to_ms) for second in range(62, 500) for j in judge.tick(now_at(second))]
    assert silence == [(second, "warehouse", now_at(second)) for second in (360, 420, 480)]
    assert said(judge, reading(asked(judge, "feedback", 500), ({}, 3, 3, 3))) == [((), "true")]
    assert list(judge.tick(now_at(540))) == []


def test_without_any_answer_five_minutes_count_from_when_it_listens() -> None:
    """An alerter that starts without ClickHouse says so after five minutes, not at once."""
    judge = judge_of(FEEDBACK.model_copy(update={"by": ()}))
    judge.listen(now_at(30))
    assert [second for second in range(31, 400) for _ in judge.tick(now_at(second))] == [360]


def test_the_sql_of_a_reading_is_the_question_for_its_series() -> None:
    """Of the window that was asked for, with the labels as conditions."""
    judge = judge_of(LIMITED)
    (judgement,) = judge.reading(reading(asked(judge, "rate", 65), ({"api": "it's"}, 40, 900, 40 / 900)))
    sql = judgement.sql(judgement.deciding)
    assert "api = 'it\\'s'" in sql
    assert "occurred_at >= '2026-11-23 09:46:00.000' AND occurred_at < '2026-11-23 10:01:00.000'" in sql
    assert judgement.window_sql(judgement.deciding) == ""


def test_a_reading_is_what_its_decision_says() -> None:
    """Over the wire and back, nothing is lost; a decision of another kind has none."""
    given = reading(asked(judge_of(LIMITED), "rate", 65), ({"api": "a"}, 1, 3, 1 / 3), ({"api": "b"}, 0, 0, None))
    decision = parse_decision(reading_to_decision(given, "a" * 64).model_dump_json().encode())
    assert reading_from_decision(decision) == given
    assert (decision.kind, decision.rule, decision.reason) == ("reading", given.question_id, "2 rows")
    with pytest.raises(ValueError, match="has no reading"):
        reading_from_decision(Decision.model_validate(decision.model_dump() | {"reading": None, "kind": "verdict"}))


def weeks(labels: dict[str, str], *values: float) -> list[Row]:
    return [(labels | {"week": str(week)}, value, value, value) for week, value in enumerate(values, 1)]


def with_usual(of: Rule, rows: Iterable[Row], panes: list[object], *, at_s: float = 3_600) -> Judge:
    """A judge that knows what is usual in the hours around, and has seen panes."""
    judge = judge_of(of, flushes=[*level([], at_s - 5), *level(panes, at_s)], at_s=at_s)  # type: ignore[arg-type]
    for question in judge.questions(now_at(at_s)):
        assert list(judge.reading(reading(question, *rows))) == []
    return judge


def usage(judge: Judge, at_s: float = 3_600) -> dict[str, str]:
    said_last = judge.flush(flush(0, at_s + 1), now_at(at_s + 1))
    return {judgement.series[0][1]: judgement.held_by or judgement.verdict for judgement in said_last}


@pytest.mark.parametrize(
    ("week_values", "now", "said"),
    [
        ([200, 180, 220, 205], 120, "true"),  # 202.5 are usual: 41 % less
        ([200, 180, 220, 205], 150, "false"),
        ([200, 180, 220, 205], 135, "confidence"),  # a third less, by 135 that might as well be 152
        ([200, 180, 220, 205], 0, "true"),
        ([200], 0, "history"),
        ([], 5, "history"),
        ([9, 9, 9], 0, "expected"),  # nobody misses so few
    ],
)
def test_a_drop_is_judged_against_the_same_hour_of_the_weeks_before(week_values: list[float], now: int, said: str) -> None:
    """By more than 30 % and by more than chance; unknown, not false, without two weeks of history."""
    panes = [pane("feature_exposure", {"flag": "new", "variant": "A"}, 1_800, now)] if now else []
    assert usage(with_usual(USAGE, weeks({"flag": "new"}, *week_values), list(panes))).get("new", "history") == said


def test_without_an_answer_nothing_is_known_of_usual_times() -> None:
    """The gate is ClickHouse's until it answers; what is usual is asked again every minute, and no more once it is known."""
    judge = judge_of(USAGE, flushes=level([], 3_595), at_s=3_595)
    panes = [pane("feature_exposure", {"flag": "new", "variant": "A"}, 1_800, 50)]
    looked = list(judge.flush(flush(0, 3_601, *panes), now_at(3_601)))
    assert {judgement.held_by for judgement in looked} == {"warehouse"}
    first = judge.questions(now_at(3_605))
    assert [question.window_from_ms for question in first] == [now_at(-3_600), now_at(0), now_at(3_600)]
    assert judge.questions(now_at(3_664)) == []
    list(judge.reading(reading(first[1], *weeks({"flag": "new"}, 9, 9))))
    assert [question.window_from_ms for question in judge.questions(now_at(3_665))] == [now_at(-3_600), now_at(3_600)]


def test_a_degradation_is_a_longer_time_than_usual() -> None:
    """p95 of 2 s where 1 s is usual is 100 % worse; 1.4 s is not half as long again; the term has both."""
    for bucket, verdict in ((352, "true"), (334, "false")):
        panes = [pane("menu_generation", {"provider": "a", "outcome": "full"}, 1_800, 50, buckets={bucket: 50})]
        judge = with_usual(SLOWER, weeks({}, 1_000, 1_010, 990, 1_000), list(panes))
        (judgement,) = judge.flush(flush(0, 3_601), now_at(3_601))
        term = judgement.deciding.term
        assert (judgement.verdict, term.value, term.baseline) == (verdict, 2 ** ((bucket + 0.5) / 32), 1_000)
    assert judgement.reason() == "p95_time[1h] degradation > 50% is false: 1.402 s (p95 of 50, usually 1 s)"
