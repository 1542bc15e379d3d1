from __future__ import annotations

from alerting.engine.engine import History, windows_to_judge
from schemas.alert import Alert
from schemas.timestamps import from_ms
from tests.unit.alerting.stage import MENUS, Stage, alerts, new_engine, pages, states
from tests.unit.alerting.traffic import T0_MS, Source, now_at

STALLED = "pipeline_stalled"


def flushing(stage: Stage, from_s: int, to_s: int, silent: tuple[int, ...] = ()) -> None:
    """Every 2 s all partitions flush but the silent ones, and the clock ticks."""
    for at in range(from_s, to_s, 2):
        stage.flush(at, only=[p for p in range(12) if p not in silent])
        stage.tick(at)


def test_partitions_that_do_not_flush_for_thirty_seconds_are_an_alert_that_names_them() -> None:
    """pipeline_stalled is judged by the clock, is of severity high, and ends 10 s after all have flushed."""
    stage = Stage().start()
    flushing(stage, 0, 10)
    flushing(stage, 10, 38, silent=(3, 7))
    assert states(stage.said, STALLED) == []
    flushing(stage, 38, 42, silent=(3, 7))
    (fired,) = alerts(stage.said, STALLED)  # last flush at 8 s: 32 s at the tick at 40 s
    assert (fired.state, fired.severity, fired.value, fired.threshold, fired.unit) == ("firing", "high", 32_000, 30_000, "ms")
    assert (fired.numerator, fired.denominator, fired.window_from) == (2, 12, from_ms(now_at(8)))
    assert fired.summary == "pipeline_stalled fires: flush_age 32 s (no flush from partitions 3, 7)"
    assert ("step_due", 0, "slack-critical") in pages(stage.said)
    flushing(stage, 42, 50)
    assert states(stage.said, STALLED) == ["firing"]
    flushing(stage, 50, 52)
    assert states(stage.said, STALLED) == ["firing", "resolved"]


def test_partitions_never_heard_are_stalled_thirty_seconds_after_the_start() -> None:
    """No flush at all since this alerter listens: all twelve are named."""
    stage = Stage().start(100)
    stage.tick(130)
    assert states(stage.said, STALLED) == []
    stage.tick(130.1)
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


def test_a_split_flush_is_judged_when_its_last_part_is_in() -> None:
    """Parts without a watermark bring panes; the windows they touch are looked at with the part that has one."""
    engine = new_engine(partitions=1)
    source = Source(0).menus(5, 100)
    engine.on_flush(source.flush(), now_at(5))
    part = source.failures(31, 300).menus(100, 1).flush(with_watermark=False)
    assert engine.on_flush(part, now_at(100)) == []
    (alert,) = alerts(engine.on_flush(source.menus(100, 1).flush(), now_at(100)))
    assert alert.window_to == from_ms(now_at(40))


def test_the_windows_to_judge_are_those_of_changed_panes_and_the_open_one() -> None:
    """With windows of 30 s, a pane is in three; none ends after the pane that is open."""
    assert windows_to_judge([], T0_MS + 47_000, 30_000) == [T0_MS + 50_000]
    assert windows_to_judge([T0_MS], T0_MS + 47_000, 30_000) == [T0_MS + s * 1000 for s in (10, 20, 30, 50)]
    assert windows_to_judge([T0_MS + 30_000, T0_MS + 60_000], T0_MS + 47_000, 30_000) == [T0_MS + 40_000, T0_MS + 50_000]
    assert windows_to_judge([], T0_MS + 50_000, 30_000) == [T0_MS + 60_000]


def test_open_incidents_are_published_again_daily_and_unchanged() -> None:
    """A reader that starts late finds them in a day of the topic."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    (alert,) = alerts(stage.said)
    day = 86_400
    assert alerts(stage.tick(day + 51.1)) == []
    assert alerts(stage.tick(day + 51.2)) == [alert]
    assert alerts(stage.tick(day + 60)) == []
    after = Stage(new_engine(History(alerts=[(now_at(51.2), alert), (now_at(day + 51.2), alert)]))).start(day + 60)
    assert alerts(after.said) == []
    assert alerts(after.tick(2 * day + 51.2)) == [alert]


def test_repeats_on_the_topic_do_not_open_an_incident_again() -> None:
    """A firing record that is repeated after the resolution is old news."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    for pane in range(60, 150, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    history = stage.history()
    assert [alert.state for _, alert in history.alerts] == ["firing", "resolved"]
    history.alerts.append(history.alerts[0])
    engine = new_engine(history)
    assert engine.open_alerts == []
    assert engine.catch_up(now_at(200)) == []


def test_an_incident_of_a_rule_that_is_gone_is_ended() -> None:
    """Nobody could judge it any more; its escalation ends too."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    history = stage.history()
    renamed = [alert.model_copy(update={"rule": "Gone"}) for _, alert in history.alerts]
    after = Stage(new_engine(History(alerts=[(0, alert) for alert in renamed], escalations=history.escalations))).start(60)
    (ended,) = (output for output in after.said if isinstance(output, Alert))
    assert (ended.rule, ended.state, ended.incident_key) == ("Gone", "resolved", renamed[0].incident_key)
    assert pages(after.said) == [("resolved", None, None)]


def test_two_alerters_name_the_same_incident_alike() -> None:
    """One sees the breach some flushes later, in the same pane: the incident has the same key."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 300)
    stage.flush(51.2, only=[0])
    stage.sources[0].failures(55, 10)
    later = Stage()
    for flush in stage.flushes[:-1]:
        later.engine.observe(flush)
    for flush in (stage.flushes[-1].model_copy(update={"watermark": None, "caught_up_at": None}), stage.sources[0].flush()):
        later.said += later.engine.on_flush(flush, now_at(56))
    (first,), (second,) = alerts(stage.said, MENUS), alerts(later.said, MENUS)
    assert first.numerator != second.numerator
    assert first.incident_key == second.incident_key
    assert first.transition_id == second.transition_id
