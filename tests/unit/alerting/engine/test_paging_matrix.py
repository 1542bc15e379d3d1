"""The seed's escalation matrix, row by row, with the shipped escalation.yaml."""

from __future__ import annotations

import pytest

from schemas.alert import Severity
from schemas.timestamps import from_ms
from tests.unit.alerting.desk import HOUR, MINUTE, Desk, ack, incident, names, paris, told, unack
from tests.unit.alerting.traffic import now_at

MENUS = ("slack-critical", "pagerduty")


def opened(desk: Desk, at_s: float, severity: Severity, channels: tuple[str, ...] = ("slack-ops",)) -> Desk:
    desk.alert(at_s, incident(severity=severity, channels=channels))
    return desk


def test_critical_tells_the_channels_the_team_and_pagerduty_at_once_each_once() -> None:
    """Nothing is waited for, and pagerduty, which is a channel and in the chain, is paged one time."""
    desk = opened(Desk(), 0, "critical", MENUS)
    assert told(desk.tick(0)) == [("step_due", "slack-critical"), ("step_due", "pagerduty"), ("step_due", "dev-team")]
    assert all(event.at == from_ms(now_at(0)) and event.step == 0 for event in desk.events[1:])


def test_critical_reaches_the_ceo_at_five_minutes_exactly_and_only_if_nobody_has_acknowledged() -> None:
    """Not a millisecond earlier, once; with an acknowledgement a millisecond before, never."""
    desk = opened(Desk(), 0, "critical", MENUS)
    desk.tick(0)
    assert desk.tick(299.999) == []
    (ceo,) = desk.tick(300)
    assert (ceo.target, ceo.step, ceo.due_at, ceo.reason) == ("ceo", 1, from_ms(now_at(300)), "nobody has acknowledged: step 1")
    assert desk.ticks(300, 3 * HOUR, 30) == []
    other = opened(Desk(), 0, "critical", MENUS)
    other.tick(0)
    other.command(299.999, ack("a", 299.999))
    assert told(other.ticks(299.999, 5 * HOUR, 30)) == []


def test_high_is_promoted_to_pagerduty_when_nobody_acknowledges_for_fifteen_minutes() -> None:
    """Channels and dev-team after the wait of their group, slack-critical half way, pagerduty at the response time."""
    desk = opened(Desk(), 0, "high", ("slack-alerts",))
    messages = [(event.target, (event.at - from_ms(now_at(0))).total_seconds()) for event in desk.ticks(0, 2 * HOUR, 0.5)]
    assert messages == [("slack-alerts", 30), ("dev-team", 30), ("slack-critical", 450), ("pagerduty", 900)]


@pytest.mark.parametrize(
    ("opens", "reminds"),
    [
        ("2026-11-23T10:00", "2026-11-23T11:00"),  # a Monday
        ("2026-11-23T17:30", "2026-11-24T09:30"),  # over a night
        ("2026-11-27T17:15", "2026-11-30T09:15"),  # over a weekend
        ("2026-11-28T03:00", "2026-11-30T10:00"),  # on a Saturday
        ("2026-11-24T08:59:59.999", "2026-11-24T10:00"),
        ("2026-11-24T17:00", "2026-11-24T18:00"),  # to the last moment
        ("2026-11-24T18:00", "2026-11-25T10:00"),
        ("2026-03-27T17:30", "2026-03-30T09:30"),  # summer time begins on the Sunday
        ("2026-10-23T17:30", "2026-10-26T09:30"),  # and ends
    ],
)
def test_medium_reminds_after_an_hour_of_business(opens: str, reminds: str) -> None:
    """The channels are told at once, at whatever hour; the reminder counts Monday to Friday, 9 to 18, in Paris."""
    start, due = paris(opens), paris(reminds)
    desk = opened(Desk(), start, "medium", ("slack-product",))
    assert told(desk.tick(start + 30)) == [("step_due", "slack-product"), ("step_due", "product-team")]
    assert desk.tick(due - 0.001) == []
    assert told(desk.tick(due)) == [("step_due", "slack-alerts")]


def test_medium_is_told_again_in_business_hours_only() -> None:
    """Four hours of business after Monday 16:00 are Tuesday 11:00."""
    desk = opened(Desk(), paris("2026-11-23T16:00") - 30, "medium", ("slack-product",))
    desk.tick(paris("2026-11-23T16:00"))
    desk.tick(paris("2026-11-23T17:30"))
    assert desk.tick(paris("2026-11-24T11:00") - 0.001) == []
    assert told(desk.tick(paris("2026-11-24T11:00"))) == [("repeated", "slack-product"), ("repeated", "product-team")]


def test_low_is_one_message_a_day_to_each_receiver_whatever_it_is_about() -> None:
    """At 9:00 in Paris, everything that opened since the last one; what ended before is not in it; nothing is ever repeated."""
    desk = Desk()
    for day, hour, name in ((23, 9, "a"), (23, 14, "b"), (23, 23, "c"), (24, 8, "d")):
        at = paris(f"2026-11-{day}T{hour:02}:00")
        desk.alert(at, incident(name, rule=f"rule {name}", severity="low", channels=("linear-tickets",)))
        desk.tick(at)
    desk.end(paris("2026-11-24T08:30"), "c")
    nine = paris("2026-11-24T09:00")
    assert desk.tick(nine - 0.001) == []
    messages = [event for event in desk.tick(nine) if event.notify]
    assert [(event.target, names(event)) for event in messages] == [("linear-tickets", ["a", "b", "d"]), ("dev-team", ["a", "b", "d"])]
    desk.alert(nine, incident("e", rule="rule a", severity="low", channels=("linear-tickets",)))
    assert desk.ticks(nine, paris("2026-11-25T08:59"), 600) == []
    assert [names(event) for event in desk.tick(paris("2026-11-25T09:00")) if event.notify] == [["e"], ["e"]]
    assert desk.ticks(paris("2026-11-25T09:00"), paris("2026-12-02T09:00"), 600) == []


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_the_daily_message_comes_at_nine_on_the_days_that_are_an_hour_shorter_or_longer(day: str) -> None:
    """Clocks in Paris change in the night before."""
    desk = opened(Desk(), paris(f"{day}T00:30"), "low")
    nine = paris(f"{day}T09:00")
    assert desk.tick(nine - 0.001) == []
    assert len(told(desk.tick(nine))) == 3


def test_business_time_that_is_left_is_kept_by_an_acknowledgement() -> None:
    """Acknowledged after 40 of 60 minutes of business, taken back on Saturday: the reminder comes on Monday at 9:20."""
    start = paris("2026-11-27T16:00")
    desk = opened(Desk(), start, "medium", ("slack-product",))
    desk.tick(start + 30)
    desk.command(start + 40 * MINUTE, ack("a", start))
    saturday = paris("2026-11-28T12:00")
    desk.command(saturday, unack("a", saturday))
    due = paris("2026-11-30T09:20")
    assert desk.ticks(saturday, due - 1, 300) == []
    assert desk.tick(due - 0.001) == []
    assert told(desk.tick(due)) == [("step_due", "slack-alerts")]
