from __future__ import annotations

from hashlib import sha256

import pytest

from schemas.timestamps import from_ms
from tests.unit.alerting.stage import Stage, alerts, pages, states, verdicts
from tests.unit.alerting.traffic import now_at


def outage(stage: Stage, at_s: float = 51.0, failures: int = 400) -> Stage:
    for source in stage.sources[:10]:
        source.failures(at_s, failures // 10)
    stage.flush(at_s + 0.2)
    return stage


def healthy(stage: Stage, from_s: int, to_s: int) -> None:
    for pane in range(from_s, to_s, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)


@pytest.mark.parametrize(("failures", "fires"), [(279, []), (280, ["firing"])])
def test_an_outage_fires_at_the_first_flush_that_is_surely_past_five_percent(failures: int, fires: list[str]) -> None:
    """After 4800 good menus in 50 s, 280 failures are 5.51 %, and Wilson's lower bound 5.01 %: with one less, 4.998 %."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, failures)
    assert states(stage.flush(51.2, only=[0])) == fires


def test_an_alert_carries_what_recomputes_it() -> None:
    """Numbers, window, event time, watermark, thresholds and queries are those of the moment it fired."""
    stage = outage(Stage().start().healthy_minute())
    (alert,) = alerts(stage.said)
    # The 40 failures of each of the first seven partitions are in: 280 of 5080.
    assert (alert.numerator, alert.denominator, alert.value) == (280, 5080, 280 / 5080)
    assert (alert.threshold, alert.unit, alert.term, alert.condition) == (
        0.05,
        "ratio",
        "error_rate > 5%",
        "error_rate > 5% OR avg_time > 30s",
    )
    assert (alert.window_from, alert.window_to) == (from_ms(now_at(0)), from_ms(now_at(60)))
    assert alert.judged_to == alert.since == from_ms(now_at(51.0))
    assert alert.watermark == from_ms(now_at(47.9))  # caught up at 49.9 s, less 2 s, is all the last partitions have said
    assert alert.at == from_ms(now_at(51.2))
    assert alert.incident_key == sha256(f"Menu Generation Critical\x1f{now_at(60)}".encode()).hexdigest()
    assert alert.channels == ("slack-critical", "pagerduty")
    assert "occurred_at >= '2026-11-23 10:00:00.000' AND occurred_at < '2026-11-23 10:01:00.000'" in alert.sql
    assert "kafka_offset <= [439, 439, 439, 439, 439, 439, 439, 399, 399, 399, 399, 399][kafka_partition + 1]" in alert.sql
    assert "panes_before(end = '2026-11-23 10:01:00', window_s = 60)" in alert.window_sql
    assert (alert.owner, alert.labels) == ("dev-team", {"area": "menus"})
    assert alert.summary == "Menu Generation Critical fires: error_rate 5.512 % (280 of 5080)"


def test_an_incident_fires_once_while_it_lasts() -> None:
    """Minutes of failure are one alert."""
    stage = outage(Stage().start().healthy_minute())
    for at in range(52, 300):
        stage.sources[at % 12].failures(at, 50)
        stage.flush(at + 0.2)
    assert states(stage.said) == ["firing"]


def test_it_resolves_when_the_condition_has_been_false_for_thirty_seconds() -> None:
    """Failures at 51 s are in windows that are judged until 107.9 s, the last flush before 110 s less 2 s: false to 137.9 s is enough."""
    stage = outage(Stage().start().healthy_minute())
    healthy(stage, 60, 130)
    assert states(stage.flush(139.8)) == []
    (resolved,) = alerts(stage.flush(139.9))
    (fired, _) = alerts(stage.said)
    assert (fired.state, resolved.state, resolved.incident_key, resolved.since) == ("firing", "resolved", fired.incident_key, fired.since)
    assert (resolved.value, resolved.term) == (0.0, "error_rate > 5%")
    assert resolved.transition_id != fired.transition_id


def test_a_breach_within_the_thirty_seconds_keeps_the_incident_open() -> None:
    """False from 107.9 s to 127.9 s is not the end; true again until 187.9 s, it ends with the flush that is false to 217.9 s."""
    stage = outage(Stage().start().healthy_minute())
    healthy(stage, 60, 130)
    outage(stage, 131.0, 800)
    healthy(stage, 140, 210)
    assert states(stage.said) == ["firing"]
    healthy(stage, 210, 220)
    assert states(stage.said) == ["firing", "resolved"]


def test_flapping_every_thirty_seconds_is_one_incident() -> None:
    """30 s of 20 % failures, 30 s of none, for ten minutes: one opening and one end."""
    stage = Stage().start().healthy_minute()
    for pane in range(50, 650, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
            if pane % 60 < 30:
                source.failures(pane + 6, 20)
        stage.flush(pane + 9.9)
    healthy(stage, 650, 800)
    assert states(stage.said) == ["firing", "resolved"]


def test_the_next_incident_has_another_key() -> None:
    """After a resolution, a new breach is a new incident."""
    stage = outage(Stage().start().healthy_minute())
    healthy(stage, 60, 150)
    outage(stage, 151.0)
    assert states(stage.said) == ["firing", "resolved", "firing"]
    keys = [alert.incident_key for alert in alerts(stage.said)]
    assert keys[0] == keys[1] != keys[2]


def test_an_incident_does_not_end_while_a_partition_is_missing() -> None:
    """False needs every partition; the one that lags may hold the failures."""
    stage = outage(Stage().start().healthy_minute())
    for pane in range(60, 200, 10):
        for source in stage.sources[1:]:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9, only=range(1, 12))
    assert states(stage.said) == ["firing"]
    stage.flush(200)
    assert states(stage.said) == ["firing", "resolved"]


def test_without_traffic_an_incident_stays_open_and_says_that_it_has_no_data() -> None:
    """Silence is what an outage looks like; with traffic again it can end."""
    stage = outage(Stage().start().healthy_minute())
    for at in range(60, 1200, 2):
        stage.flush(at)
    assert states(stage.said) == ["firing", "no_data"]
    assert alerts(stage.said)[-1].summary == "Menu Generation Critical has no data: error_rate no events (0 of 0)"
    healthy(stage, 1200, 1220)
    assert states(stage.said) == ["firing", "no_data", "resolved"]


def test_with_little_traffic_it_ends_on_all_events_since_it_was_last_true() -> None:
    """Two good menus a minute are too few for any window: no data; the twentieth since the breach is evidence."""
    stage = outage(Stage().start().healthy_minute())
    for number in range(1, 21):
        assert stage.engine.open_alerts
        stage.sources[0].menus(105 + 30 * number)
        stage.flush(111 + 30 * number)
    assert states(stage.said) == ["firing", "no_data", "resolved"]
    assert alerts(stage.said)[-1].denominator == 20


def test_little_traffic_that_fails_keeps_it_open() -> None:
    """Of the 29 events since the breach 2 failed: too many to say that it is over."""
    stage = outage(Stage().start().healthy_minute())
    for number in range(1, 30):
        stage.sources[0].menus(105 + 30 * number, outcome="failed" if number % 10 == 0 else "full")
        stage.flush(111 + 30 * number)
    assert states(stage.said) == ["firing", "no_data"]


def test_late_failures_fire_for_the_window_they_belong_to() -> None:
    """60 failures of five minutes ago arrive: their minute is past 5 % and ended less than 15 minutes ago; the present is fine."""
    stage = Stage().start().healthy_minute(until_s=360, per_pane=120)
    stage.sources[4].failures(55, 60)
    alert, end = alerts(stage.flush(361))
    assert (alert.state, alert.window_to, end.state) == ("firing", from_ms(now_at(60)), "resolved")
    assert (alert.numerator, alert.denominator) == (60, 780)  # six panes of 120 good ones


@pytest.mark.parametrize(("minutes_later", "state"), [(15, "firing"), (15.1, "retro_fired")])
def test_a_window_that_ended_over_fifteen_minutes_ago_pages_nobody(minutes_later: float, state: str) -> None:
    """Judged late, it is recorded under another name."""
    stage = Stage().start().healthy_minute()
    stage.sources[0].failures(51, 300)
    flush = stage.sources[0].flush()
    outputs = stage.engine.on_flush(flush, now_at(60 + 60 * minutes_later), now_at(60 + 60 * minutes_later))
    assert states(outputs) == [state]
    assert pages(outputs) == ([("opened", None, None)] if state == "firing" else [])


def test_an_old_incident_clears_without_a_page() -> None:
    """Read an hour later, an outage and its end are retro_fired and retro_cleared."""
    live = outage(Stage().start().healthy_minute())
    healthy(live, 60, 150)
    assert states(live.said) == ["firing", "resolved"]
    late = Stage().start(3600)
    for flush in live.flushes:
        late.said += late.engine.on_flush(flush, now_at(3700), now_at(3700))
    assert states(late.said) == ["retro_fired", "retro_cleared"]
    assert alerts(late.said)[0].incident_key == alerts(live.said)[0].incident_key
    assert pages(late.said) == []


def test_an_old_incident_that_still_lasts_fires_after_all() -> None:
    """An alerter that comes back in the middle of an outage records its beginning and pages for its present."""
    stage = outage(Stage().start().healthy_minute())
    for at in range(60, 2400, 10):
        for source in stage.sources:
            source.failures(at, 10)
        stage.flush(at + 1)
    late = Stage().start(2400)
    for flush in stage.flushes:
        late.said += late.engine.on_flush(flush, now_at(2400), now_at(2400))
    assert states(late.said) == ["retro_fired", "firing"]
    assert len({alert.incident_key for alert in alerts(late.said)}) == 1
    # The first window that ended at most 15 min before 2400 s.
    assert alerts(late.said)[1].window_to == from_ms(now_at(1500))


def test_a_change_of_verdict_is_recorded_once_per_pane_with_its_reason() -> None:
    """Unknown while too little is known, false with traffic, true at the breach; the same verdict again is no news."""
    stage = Stage().start()
    stage.flush(0.5)
    outage(stage.healthy_minute())
    changes = verdicts(stage.said)
    assert [(verdict, previous) for verdict, previous, _ in changes] == [("unknown", None), ("false", "unknown"), ("true", "false")]
    assert changes[0][2] == "0 events, at least 20 needed"
    assert changes[2][2].startswith("error_rate > 5% is true: 5.512 %")
