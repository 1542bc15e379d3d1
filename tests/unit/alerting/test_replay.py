from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from alerting.backtest import Backtest
from alerting.backtest_report import as_document, as_text, difference, outcomes
from alerting.config.load import AlertingConfig
from alerting.engine.judge import lookback_ms
from alerting.replay import Replay, first_flush_ms
from schemas.alert import Alert
from schemas.command import Silence
from schemas.decision import Decision, Reading, ReadingRow
from schemas.escalation import Escalation
from schemas.pane import Flush
from schemas.timestamps import from_ms, to_ms
from tests.unit.alerting.stage import CONFIG, MENUS, ack
from tests.unit.alerting.traffic import T0_MS, now_at, sources

ONLY_MENUS = replace(CONFIG, rules=tuple(rule for rule in CONFIG.rules if rule.name == MENUS))
ALL_S = 660


def recorded() -> list[tuple[int, Flush]]:
    """Eleven minutes, flushed every other second: health, failures from 7:20 to 8:20, health again."""
    flushes: list[tuple[int, Flush]] = []
    partitions = sources()
    for second in range(0, ALL_S, 2):
        for source in partitions:
            source.menus(second + 0.5, 4)
            if 440 <= second < 500:
                source.failures(second + 0.6, 4)
            flushes.append((now_at(second + 2), source.flush(caught_up_s=second + 2)))
    return flushes


FLUSHES = recorded()


@cache
def of_all() -> Replay:
    """The whole log, under the current rules."""
    return replayed(0)


def replayed(
    from_s: float, config: AlertingConfig = ONLY_MENUS, *, name: str = "current", feed_from_s: float = 0.0, **fields: object
) -> Replay:
    replay = Replay(name, config, now_at(from_s), **fields)  # type: ignore[arg-type]
    for at_ms, flush in FLUSHES:
        if at_ms >= now_at(feed_from_s):
            replay.flush(flush, at_ms)
    replay.end(now_at(ALL_S) + 1)
    return replay


def rows(replay: Replay, from_s: float, to_s: float) -> list[tuple[str, str, str]]:
    """Of the ledger: windows that end within (from_s, to_s]."""
    decisions = [output for _, output in replay.said if isinstance(output, Decision) and output.kind in {"verdict", "minute"}]
    within = [one for one in decisions if one.window_to is not None and now_at(from_s) < to_ms(one.window_to) <= now_at(to_s)]
    return [(one.decision_id, one.kind, one.verdict) for one in within]


def test_it_says_what_the_alerter_would_have_said_and_when() -> None:
    """The incident fires seconds after it began, pages at once, ends, and each is said at the time of its flush."""
    replay = of_all()
    alerts = [(now_ms, alert) for now_ms, alert in replay.said if isinstance(alert, Alert)]
    assert [alert.state for _, alert in alerts] == ["firing", "resolved"]
    assert now_at(440) < alerts[0][0] <= now_at(450)
    assert all(to_ms(output.at) == now_ms for now_ms, output in replay.said)
    paged = [
        event.target for now_ms, event in replay.said if isinstance(event, Escalation) and event.event == "step_due" and event.step == 0
    ]
    assert set(ONLY_MENUS.rules[0].channels) <= set(paged)


def test_a_period_is_as_it_would_be_if_all_of_the_log_were_replayed() -> None:
    """With what came before as warm-up, and nothing older than needed, each row of the ledger has the same id."""
    whole = of_all()
    begins_s = 450
    feed_from_s = (first_flush_ms(ONLY_MENUS, now_at(begins_s)) - T0_MS) / 1000
    assert 0 < feed_from_s < begins_s - lookback_ms(ONLY_MENUS.rules) / 1000
    part = replayed(begins_s, feed_from_s=feed_from_s, complete_from_ms=now_at(feed_from_s) + 1_000)
    assert [(kind, verdict) for _, kind, verdict in rows(part, begins_s, ALL_S)] == [
        ("minute", "true"),
        ("minute", "true"),
        ("verdict", "false"),
        ("minute", "false"),
    ]
    assert rows(part, begins_s, ALL_S) == rows(whole, begins_s, ALL_S)


def test_what_happened_before_is_not_of_the_period() -> None:
    """An incident that began before is known, and is no fire of the period."""
    replay = replayed(470)
    assert [alert.state for _, alert in replay.before if isinstance(alert, Alert)] == ["firing"]
    assert [alert.state for _, alert in replay.said if isinstance(alert, Alert)] == ["resolved"]
    (outcome,) = outcomes(of(replay))
    assert outcome.fires == ()


def test_people_are_obeyed_when_they_asked() -> None:
    """A silence from long before holds the page back; an acknowledgement stops what is due after it."""
    silence = Silence(
        command_id="c", at=from_ms(T0_MS - 86_400_000), by="alice", silence_id="s", rule=MENUS, until=from_ms(now_at(9_000)), reason="r"
    )
    silenced = replayed(0, commands=[(T0_MS - 86_400_000, silence)])
    assert [event for _, event in silenced.said if isinstance(event, Escalation) and event.event == "step_due"] == []
    key = next(alert.incident_key for _, alert in of_all().said if isinstance(alert, Alert))
    acked = replayed(0, commands=[(now_at(460), ack(key, 460))])
    states = [(now_ms, alert.state) for now_ms, alert in acked.said if isinstance(alert, Alert)]
    assert states[1] == (now_at(460), "acknowledged")


def of(*replays: Replay, acknowledged: tuple[tuple[int, Alert], ...] = ()) -> Backtest:
    return Backtest(now_at(0), now_at(ALL_S), len(FLUSHES), 0, 0, replays, acknowledged)


def test_the_report_counts_fires_pages_and_false_alarms() -> None:
    """One minute of failures that nobody worked on is a false alarm, with the period's share of a week; acknowledged, it is none."""
    replay = of_all()
    (outcome,) = outcomes(of(replay))
    (fire,) = outcome.fires
    assert (fire.rule, fire.severity, fire.false_alarm) == (MENUS, "critical", True)
    assert 0 <= fire.detected_after_ms < 10_000
    assert outcome.false_alarms_per_week == pytest.approx(7 * 86_400 / ALL_S)
    assert outcome.pages["pagerduty"] >= 1
    alert = next(alert for _, alert in replay.said if isinstance(alert, Alert))
    (worked_on,) = outcomes(of(replay, acknowledged=((now_at(460), alert),)))
    assert not worked_on.fires[0].false_alarm
    (worked_on_later,) = outcomes(of(replay, acknowledged=((now_at(655), alert),)))
    assert worked_on_later.fires[0].false_alarm
    assert any(line.startswith("current: 1 fire, ") and "1 false alarm (916 a week)" in line for line in as_text(of(replay)))


def test_rule_sets_differ_in_what_fires_and_when() -> None:
    """A rule that waits longer fires later; one that asks for more does not fire; the same rules differ in nothing."""
    (rule,) = ONLY_MENUS.rules
    patient = replace(CONFIG, rules=(rule.model_copy(update={"for_ms": 20_000}),))
    deaf = replace(CONFIG, rules=(rule.model_copy(update={"for_ms": 300_000}),))
    first = of_all()
    later = of(first, replayed(0, patient, name="patient.yaml"))
    (moved,) = difference(*outcomes(later)).both
    assert 15_000 <= moved.later_ms <= 25_000
    assert any("  patient.yaml " in line and " later: " in line for line in as_text(later))
    silent = difference(*outcomes(of(first, replayed(0, deaf, name="deaf.yaml"))))
    assert ([fire.rule for fire in silent.only_first], silent.only_second, silent.both) == ([MENUS], (), ())
    same = of(first, first)
    assert as_text(same)[-1] == "difference: none; 1 fire in both"
    assert as_document(same)["difference"]["both"][0]["later_ms"] == 0


def test_answers_of_clickhouse_are_those_of_then() -> None:
    """What is on record of them fires rules that know nothing else, at the time at which it was known."""
    of_loss = replace(CONFIG, rules=tuple(rule for rule in CONFIG.rules if rule.name == "Data Loss"))
    replay = Replay("current", of_loss, now_at(600))
    for minute in range(8, 14):
        to = from_ms(now_at(60 * minute))
        row = ReadingRow(numerator=500.0, denominator=10_000.0, value=0.05)
        question_id = "data_loss over 900 s"
        replay.reading(Reading(question_id=question_id, window_from=from_ms(T0_MS), window_to=to, read_at=to, rows=(row,)), to_ms(to))
    alerts = [alert for _, alert in replay.before + replay.said if isinstance(alert, Alert)]
    assert [(alert.rule, alert.state, alert.value) for alert in alerts] == [("Data Loss", "firing", 0.05)]
    assert replay.unanswered == []


def test_questions_that_nobody_asked_then_are_named() -> None:
    """Rules that rest on ClickHouse cannot be replayed without its answers: that is said, not hidden."""
    replay = replayed(655, CONFIG, feed_from_s=620)
    assert any(question.startswith("satisfaction_score") for question in replay.unanswered)
    assert any("never asked of ClickHouse then" in line for line in as_text(of(replay)))
