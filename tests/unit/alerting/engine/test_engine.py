from __future__ import annotations

import pickle
from typing import Any

from alerting.engine.engine import Engine
from alerting.engine.history import History
from alerting.engine.identity import digest
from alerting.engine.rule import Rule
from schemas.alert import Context, ErrorClass
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.timestamps import from_ms
from tests.unit.alerting.looks import a_rule
from tests.unit.alerting.stage import CONFIG, MENUS, STALLED, Stage, ack, alerts, new_engine, pages, states, unack, verdicts
from tests.unit.alerting.traffic import Source, now_at

DAY_S = 86_400


def broken(at_s: float = 51.2) -> Stage:
    """400 of 5200 menus failed: the incident has just been found, and nobody told."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(at_s, only=[0])
    return stage


def engine_of(rules: list[Rule], history: History | None = None) -> Engine:
    return Engine(rules, CONFIG.policy, CONFIG.routing, history=history, partitions=1)


def healthy(stage: Stage, from_s: int, to_s: int) -> Stage:
    for pane in range(from_s, to_s, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    return stage


def flushing(stage: Stage, from_s: int, to_s: int, silent: tuple[int, ...] = ()) -> None:
    """Every 2 s all partitions flush but the silent ones, and the clock ticks."""
    for at in range(from_s, to_s, 2):
        stage.flush(at, only=[p for p in range(12) if p not in silent])
        stage.tick(at)


def test_partitions_that_do_not_flush_for_ten_seconds_are_an_alert_that_names_them() -> None:
    """pipeline_stalled is judged by the clock, is of severity high, and ends 10 s after all have flushed."""
    stage = Stage().start()
    flushing(stage, 0, 10)
    flushing(stage, 10, 20, silent=(3, 7))
    assert states(stage.said, STALLED) == []
    flushing(stage, 20, 22, silent=(3, 7))
    (fired,) = alerts(stage.said, STALLED)  # last flush at 8 s: 12 s at the tick at 20 s
    assert (fired.state, fired.severity, fired.value, fired.threshold, fired.unit) == ("firing", "high", 12_000, 10_000, "ms")
    assert (fired.numerator, fired.denominator, fired.window_from) == (2, 12, from_ms(now_at(8)))
    assert fired.summary == "pipeline_stalled fires: flush_age 12 s (no flush from partitions 3, 7)"
    flushing(stage, 22, 32)  # true until 20 s
    assert states(stage.said, STALLED) == ["firing", "resolved"]


def test_the_ledger_knows_a_stall_by_when_the_partition_fell_silent() -> None:
    """However often the clock ticks, the row has the same id: the log says when the last flush was."""
    ids = []
    for step in (1, 2):
        stage = Stage(new_engine(only=[STALLED])).start()
        flushing(stage, 0, 10)
        for at in range(10, 30, step):
            stage.tick(at)
        rows = [row for row in stage.said if isinstance(row, Decision) and row.verdict == "true"]
        ids.append([row.decision_id for row in rows])
    assert len(ids[0]) == 1
    assert ids[0] == ids[1]


def test_partitions_never_heard_are_stalled_ten_seconds_after_the_start() -> None:
    """No flush at all since this alerter listens: all twelve are named."""
    stage = Stage().start(100)
    stage.tick(110)
    assert states(stage.said, STALLED) == []
    stage.tick(110.1)
    (fired,) = alerts(stage.said, STALLED)
    assert fired.summary.endswith("(no flush from partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)")


def test_a_restart_does_not_end_a_stall_it_has_not_seen_end() -> None:
    """What has not been heard since the restart is not known to flush, so an open stall stays open."""
    stage = Stage().start()
    flushing(stage, 0, 10)
    flushing(stage, 10, 50, silent=(3,))
    after = Stage(new_engine(stage.history())).start(60)
    flushing(after, 60, 120, silent=(3,))
    assert states(after.said, STALLED) == []
    flushing(after, 120, 134)
    assert states(after.said, STALLED) == ["resolved"]
    assert alerts(after.said, STALLED)[0].incident_key == alerts(stage.said, STALLED)[0].incident_key


def test_windows_that_may_lack_panes_are_not_judged() -> None:
    """Panes older than what was re-read at start may be missing: windows that begin before it wait."""
    stage = Stage(new_engine(complete_from_s=10)).start()
    for source in stage.sources:
        source.failures(45, 100)
    assert states(stage.flush(45.2)) == []
    for source in stage.sources:
        source.failures(60.1, 1)
    assert states(stage.flush(60.2)) == ["firing"]


def test_nobody_is_paged_but_by_the_clock() -> None:
    """A flush opens the incident; the tick that follows pages, once everything that is there has been read."""
    stage = broken()
    assert pages(stage.said) == [("opened", None, None)]
    assert [page for page in pages(stage.tick(51.2)) if page[0] == "step_due"] == [
        ("step_due", 0, "slack-critical"),
        ("step_due", 0, "pagerduty"),
        ("step_due", 0, "dev-team"),
    ]
    assert pages(stage.tick(52)) == []


def test_an_acknowledgement_is_a_state_of_the_alert() -> None:
    """The command stops the steps, and everybody who reads alerts sees it; taken back, it fires again; again, nothing."""
    stage = broken()
    stage.tick(51.2)
    (fired,) = alerts(stage.said)
    acked = stage.command(ack(fired.incident_key, 60), 60)
    assert (pages(acked), states(acked)) == ([("acked", None, None)], ["acknowledged"])
    assert alerts(acked)[0].transition_id == digest(fired.incident_key, "acknowledged", "c-1")
    assert stage.command(ack(fired.incident_key, 61), 61) == []
    assert [alert.state for alert in stage.engine.open_alerts] == ["acknowledged"]
    assert states(stage.command(unack(fired.incident_key, 70), 70)) == ["firing"]
    healthy(stage, 60, 150)
    assert states(stage.said) == ["firing", "acknowledged", "firing", "resolved"]
    assert stage.engine.open_alerts == []
    assert stage.command(ack(fired.incident_key, 151, command_id="late"), 151) == []


def test_an_acknowledgement_given_while_no_alerter_ran_is_obeyed_before_anybody_is_paged() -> None:
    """catch_up says it; the ticks that follow say nothing, however long they go on."""
    stage = broken()
    history = stage.history()
    (fired,) = alerts(stage.said)
    history.commands.append(ack(fired.incident_key, 55))
    after = Stage(new_engine(history, only=[MENUS])).start(60)
    assert (states(after.said), pages(after.said)) == (["acknowledged"], [("acked", None, None)])
    for at in range(60, 900):
        after.tick(at)
    assert len(pages(after.said)) == 1


def test_an_acknowledgement_of_which_only_the_escalation_was_published_is_completed() -> None:
    """Killed between two sends, the next alerter says of the alert what the event says; and not twice."""
    stage = broken()
    (fired,) = alerts(stage.said)
    stage.command(ack(fired.incident_key, 60), 60)
    whole = stage.history()
    half = History([record for record in whole.alerts if record[1].state == "firing"], whole.escalations)
    after = Stage(new_engine(half)).start(70)
    assert [alert.transition_id for alert in alerts(after.said)] == [alert.transition_id for alert in alerts(stage.said)[1:]]
    assert Stage(new_engine(whole)).start(70).said == []


def test_what_is_found_about_an_incident_is_said_from_then_on() -> None:
    """In later alerts, in escalation events, and after a restart; a key that is not open is ignored."""
    stage = broken()
    (fired,) = alerts(stage.said)
    context = Context(error_classes=(ErrorClass(error_type="Timeout", count=7),))
    stage.engine.attach(fired.incident_key, context)
    stage.engine.attach(digest("nothing"), context)
    outputs = stage.tick(51.2) + healthy(stage, 60, 150).said
    assert {event.alert.context for event in outputs if isinstance(event, Escalation) and event.event != "opened"} == {context}
    assert alerts(outputs)[-1].context == context


def test_the_ledger_has_one_line_a_minute_and_rule() -> None:
    """Five minutes: four are behind; each says how the rule stood."""
    stage = healthy(Stage(new_engine(only=[MENUS])).start(), 0, 310)
    rows = [row for row in stage.said if isinstance(row, Decision) and row.kind == "minute"]
    assert [row.window_to for row in rows] == [from_ms(now_at(minute * 60)) for minute in (1, 2, 3, 4, 5)]
    assert {(row.rule, row.verdict, row.state, row.series["inactive"]) for row in rows} == {(MENUS, "false", "inactive", 1)}
    assert verdicts(stage.said)[-1][:2] == ("false", None)


def test_a_split_flush_is_judged_when_its_last_part_is_in() -> None:
    """Parts without a watermark bring panes; the windows they touch are looked at with the part that has one."""
    engine = new_engine(partitions=1)
    source = Source(0).menus(5, 100)
    engine.on_flush(source.flush(), now_at(5), now_at(5))
    part = source.failures(31, 300).menus(100, 1).flush(with_watermark=False)
    assert engine.on_flush(part, now_at(100), now_at(100)) == []
    (alert,) = alerts(engine.on_flush(source.menus(100, 1).flush(), now_at(100), now_at(100)))
    assert alert.window_to == from_ms(now_at(40))


def test_open_incidents_are_published_again_daily_and_unchanged() -> None:
    """A reader that starts late finds them in a day of the topic."""
    stage = broken()
    (alert,) = alerts(stage.said)
    assert alerts(stage.tick(DAY_S + 51.1)) == []
    assert alerts(stage.tick(DAY_S + 51.2)) == [alert]
    assert alerts(stage.tick(DAY_S + 60)) == []
    after = Stage(new_engine(History(alerts=[(now_at(51.2), alert), (now_at(DAY_S + 51.2), alert)]))).start(DAY_S + 60)
    assert alerts(after.said) == []
    assert alerts(after.tick(2 * DAY_S + 51.1)) == []
    assert alerts(after.tick(2 * DAY_S + 51.2)) == [alert]


def test_repeats_on_the_topic_do_not_open_an_incident_again() -> None:
    """A firing record that is repeated after the resolution is old news."""
    stage = healthy(broken(), 60, 150)
    history = stage.history()
    assert [alert.state for _, alert in history.alerts] == ["firing", "resolved"]
    history.alerts.append(history.alerts[0])
    engine = new_engine(history)
    assert engine.open_alerts == []
    assert engine.catch_up(now_at(200)) == []


def test_an_incident_of_a_rule_that_is_gone_is_ended() -> None:
    """Nobody could judge it any more; its escalation ends too, in the same breath."""
    stage = broken()
    stage.tick(51.2)
    after = Stage(new_engine(stage.history(), only=[STALLED])).start(60)
    (ended,) = alerts(after.said)
    assert (ended.state, ended.incident_key) == ("resolved", alerts(stage.said)[0].incident_key)
    assert pages(after.said) == [("resolved", None, None)]
    assert after.engine.open_alerts == []


def by_provider(**more: Any) -> Rule:
    return a_rule("error_rate > 5%", name="Providers", by=["provider"], **more)


def test_an_incident_of_a_series_that_the_rule_does_not_have_any_more_is_ended() -> None:
    """Judged by other labels now, or by none: the new series is not the old one."""
    one = Source(0).failures(1, 50, provider="ollama")
    said = engine_of([by_provider()]).on_flush(one.flush(), now_at(1), now_at(1))
    (fired,) = alerts(said, "Providers")
    for rule in (by_provider(labels={"team": "a"}), a_rule(name="Providers", by=["outcome"], condition="menus > 5")):
        after = engine_of([rule], History(alerts=[(now_at(1), fired)]))
        ended = alerts(after.catch_up(now_at(2)), "Providers")
        assert [(alert.state, alert.incident_key) for alert in ended] == (
            [] if "provider" in rule.by else [("resolved", fired.incident_key)]
        )


def test_series_that_had_an_incident_long_ago_take_no_memory() -> None:
    """A new provider fails every hour: after a day the first ones are forgotten, and what lasts is not."""
    engine, source = engine_of([by_provider(keep_firing_for="10s")]), Source(0)
    engine.catch_up(now_at(0))
    held = []
    for hour in range(40):
        at_s = hour * 3600
        source.failures(at_s, 50, provider=f"p{hour}")
        engine.on_flush(source.flush(), now_at(at_s), now_at(at_s))
        source.menus(at_s + 60, 50, provider=f"p{hour}")
        engine.on_flush(source.flush(), now_at(at_s + 60), now_at(at_s + 60))
        assert engine.open_alerts == []
        held.append(len(pickle.dumps((engine._lifecycles, engine._ended_ms))))
    assert held[-1] < 1.1 * held[25] < 4 * held[10]


def test_an_incident_that_lasted_for_more_than_a_day_is_not_forgotten_when_the_next_one_ends() -> None:
    """What is remembered goes by when it ended: late events of its last minutes are old news, and page nobody."""
    engine, source, end_s = engine_of([by_provider(keep_firing_for="10s")]), Source(0), 25 * 3600
    engine.catch_up(now_at(0))

    def flushed(at_s: float) -> list[str]:
        return states(engine.on_flush(source.flush(), now_at(at_s), now_at(at_s)), "Providers")

    source.failures(0, 50, provider="long")
    assert flushed(0) == ["firing"]
    source.failures(end_s, 50, provider="long")
    assert flushed(end_s) == []
    source.menus(end_s + 200, 50, provider="long")
    assert flushed(end_s + 200) == ["resolved"]
    source.failures(end_s + 210, 50, provider="short")
    assert flushed(end_s + 210) == ["firing"]
    source.menus(end_s + 290, 50, provider="short")
    assert flushed(end_s + 290) == ["resolved"]
    source.failures(end_s + 30, 50, provider="long")
    assert flushed(end_s + 300) == []


def test_two_alerters_name_the_same_incident_alike() -> None:
    """One sees the breach some flushes later, in the same pane: the incident has the same key."""
    stage = broken()
    stage.sources[0].failures(55, 10)
    later = Stage()
    for flush in stage.flushes[:-1]:
        later.engine.observe(flush, now_at(51))
    for flush in (stage.flushes[-1].model_copy(update={"watermark": None, "caught_up_at": None}), stage.sources[0].flush()):
        later.said += later.engine.on_flush(flush, now_at(56), now_at(56))
    (first,), (second,) = alerts(stage.said), alerts(later.said)
    assert first.numerator != second.numerator
    assert first.incident_key == second.incident_key
    assert first.transition_id == second.transition_id
