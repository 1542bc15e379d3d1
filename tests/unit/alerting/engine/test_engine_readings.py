from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alerting.engine.engine import Engine, Output
from alerting.engine.readings import Question, answer
from schemas.alert import Alert
from schemas.decision import Decision, Reading
from schemas.timestamps import from_ms
from tests.unit.alerting.stage import Stage, alerts, new_engine, states, verdicts
from tests.unit.alerting.traffic import now_at

RATINGS = "User Satisfaction Low"
LIMITS = "External API Rate Limits"


def asked(engine: Engine, at_s: float) -> Question:
    (question,) = engine.questions(now_at(at_s))
    return question


def rating(engine: Engine, at_s: float, mean: float | None, count: int = 100) -> Reading:
    """What ClickHouse answers a second after it was asked at `at_s`, when the last full minute is stored."""
    row: dict[str, Any] = {"labels": {}, "numerator": (mean or 0) * count, "denominator": count, "value": mean}
    return answer(asked(engine, at_s), [row], now_at(at_s + 1))


def minutes(outputs: Iterable[Output], rule: str) -> list[Decision]:
    return [row for row in outputs if isinstance(row, Decision) and (row.kind, row.rule) == ("minute", rule)]


def test_what_clickhouse_answers_is_put_on_record_and_judged() -> None:
    """Asked once a minute; the record comes before what follows from it, and has the whole answer."""
    stage = Stage(new_engine(only=[RATINGS])).start()
    reading = rating(stage.engine, 80, 3.2)
    assert stage.engine.questions(now_at(81)) == []
    outputs = stage.engine.on_reading(reading, now_at(81))
    record, alert, *_ = outputs
    assert isinstance(record, Decision)
    assert (record.kind, record.reading, record.at) == ("reading", reading, from_ms(now_at(81)))
    assert isinstance(alert, Alert)
    assert (alert.rule, alert.state, alert.value, alert.unit, alert.window_to) == (RATINGS, "firing", 3.2, "rating", from_ms(now_at(60)))
    assert [row[:2] for row in verdicts(outputs, RATINGS)] == [("true", None)]


def test_the_same_answer_has_the_same_id() -> None:
    """Two alerters that asked the same at the same minute put one row on record."""
    ids = []
    for at_s in (80.0, 83.5):
        engine = new_engine(only=[RATINGS])
        (record,) = (row for row in engine.on_reading(rating(engine, at_s, 4.9), now_at(at_s)) if isinstance(row, Decision))
        ids.append(record.decision_id)
    assert ids[0] == ids[1]


def test_without_answers_the_verdict_is_unknown_and_nothing_ends() -> None:
    """After five minutes the gate `warehouse` holds it; with the next good answer it ends."""
    stage = Stage(new_engine(only=[RATINGS])).start()
    said = stage.engine.on_reading(rating(stage.engine, 80, 3.2), now_at(81))
    for minute in range(2, 75):
        said += stage.tick(minute * 60)
    assert (states(said, RATINGS), verdicts(said, RATINGS)[-1][:2]) == (["firing"], ("unknown", "true"))
    assert verdicts(said, RATINGS)[-1][2] == "no answer of ClickHouse that is fresh enough"
    assert minutes(said, RATINGS)[-1].gates[-1].name == "warehouse"
    said += stage.engine.on_reading(rating(stage.engine, 75 * 60 + 20, 4.8), now_at(75 * 60 + 21))
    assert states(said, RATINGS) == ["firing", "resolved"]


def test_readings_that_an_earlier_engine_has_acted_on_say_nothing_again() -> None:
    """Observed, they leave the ledger where it was: the next answer alike is no news, and closes the minute."""
    before = new_engine(only=[RATINGS])
    first, second = rating(before, 80, 4.4), rating(before, 140, 4.4)
    straight = [*before.on_reading(first, now_at(81)), *before.on_reading(second, now_at(141))]
    after = new_engine(only=[RATINGS])
    after.observe_reading(first, now_at(81))
    outputs = after.on_reading(second, now_at(141))
    assert outputs == straight[-len(outputs) :]
    assert [row.window_to for row in minutes(outputs, RATINGS)] == [from_ms(now_at(60))]


def test_each_series_of_an_answer_has_its_own_incident() -> None:
    """By `api`: one of two is over the limit; the other fires a minute later, and the first one's end is its own."""
    engine = new_engine(only=[LIMITS])

    def answered(at_s: float, **limited: int) -> list[tuple[str, str]]:
        rows = [{"labels": {"api": api}, "numerator": count, "denominator": 1000, "value": count / 1000} for api, count in limited.items()]
        outputs = engine.on_reading(answer(asked(engine, at_s), rows, now_at(at_s + 1)), now_at(at_s + 1))
        return [(alert.labels["api"], alert.state) for alert in alerts(outputs, LIMITS)]

    assert answered(80, ollama=0, claude=100) == [("claude", "firing")]
    assert answered(140, ollama=100, claude=0) == [("ollama", "firing")]
    assert answered(80 + 15 * 60, ollama=100, claude=0) == [("claude", "resolved")]
    assert [alert.labels["api"] for alert in engine.open_alerts] == ["ollama"]
