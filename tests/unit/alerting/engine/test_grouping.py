from __future__ import annotations

from alerting.engine.document import parse_document
from alerting.engine.routing import Routing, parse_routing
from schemas.escalation import MEMBERS_LISTED
from schemas.timestamps import from_ms
from tests.unit.alerting.desk import HOUR, MINUTE, Desk, ack, incident, names, snooze, told, unack
from tests.unit.alerting.traffic import now_at

FIFTY = [f"i{number:02}" for number in range(50)]


def burst(desk: Desk, over_s: float = 10) -> Desk:
    """Fifty incidents of one rule open within some seconds, and the clock ticks in between."""
    for number, name in enumerate(FIFTY):
        at = number * over_s / 50
        desk.alert(at, incident(name, labels={"host": name}))
        desk.tick(at)
    return desk


def routing(groups: str) -> Routing:
    return parse_routing(parse_document(f"groups: {groups}"))


def test_fifty_alerts_in_ten_seconds_are_one_message_that_lists_fifty() -> None:
    """For each receiver; each incident has an event of its own that says who was told of it, and asks for nothing."""
    desk = burst(Desk())
    assert desk.ticks(10, 29.8) == []
    events = desk.tick(30)
    assert told(events) == [("step_due", "slack-ops"), ("step_due", "dev-team")]
    assert len(events) == 100
    assert len({event.escalation_id for event in events}) == 100
    for message in (event for event in events if event.notify):
        assert (sorted(names(message)), message.members_total) == (FIFTY, 50)
        assert message.group_key == incident(FIFTY[0]).incident_key
    assert all(event.members == () for event in events if not event.notify)
    assert told(desk.ticks(30, 30 + 7 * MINUTE - 1)) == []


def test_later_steps_of_a_group_are_one_message_each() -> None:
    """Fifty escalations of 15 minutes, that began within 10 s, promote to pagerduty with one message."""
    desk = burst(Desk())
    messages = [(event.target, (event.at - from_ms(now_at(0))).total_seconds()) for event in desk.ticks(10, HOUR, 0.5) if event.notify]
    assert messages == [("slack-ops", 30), ("dev-team", 30), ("slack-critical", 450), ("pagerduty", 900)]


def test_what_joins_a_group_that_has_been_told_of_waits_for_the_interval() -> None:
    """Told at 30 s; what opens in the five minutes after is in the next message, five minutes later, with the others."""
    desk = Desk()
    desk.alert(0, incident("a"))
    desk.tick(30)
    desk.alert(40, incident("b"))
    desk.alert(300, incident("c"))
    assert desk.ticks(40, 329.8) == []
    messages = [event for event in desk.tick(330) if event.notify]
    assert [(event.target, names(event)) for event in messages] == [("slack-ops", ["a", "b", "c"]), ("dev-team", ["a", "b", "c"])]
    assert told(desk.ticks(330, 449.8)) == []


def test_more_members_than_a_message_lists_are_counted() -> None:
    """The first hundred are listed."""
    desk = Desk()
    for number in range(MEMBERS_LISTED + 20):
        desk.alert(0, incident(f"i{number}"))
    message = desk.tick(30)[0]
    assert (len(message.members), message.members_total) == (MEMBERS_LISTED, MEMBERS_LISTED + 20)


def test_another_rule_or_severity_is_another_group() -> None:
    """By default incidents of one rule are told of together; labels may be asked for instead, severities never mix."""
    desk = Desk()
    desk.alert(0, incident("a"))
    desk.alert(0, incident("b", rule="other"))
    assert len(told(desk.tick(30))) == 4
    by_host = Desk(routing=routing("{by: [host], wait: 30s, interval: 5m, repeat: 4h}"))
    by_host.alert(0, incident("a", labels={"host": "x"}))
    by_host.alert(0, incident("b", rule="other", labels={"host": "x"}))
    by_host.alert(0, incident("c", labels={"host": "y"}))
    by_host.alert(0, incident("d", labels={"host": "x"}, severity="medium"))
    messages = [names(event) for event in by_host.tick(30) if event.target == "slack-ops" and event.notify]
    assert sorted(messages) == [["a", "b"], ["c"], ["d"]]


def test_what_ends_before_the_wait_is_over_is_not_told_of() -> None:
    """Nobody is told of its end either."""
    desk = Desk()
    desk.alert(0, incident("a"))
    assert told(desk.end(29, "a")) == []
    assert desk.ticks(29, HOUR, 10) == []
    assert [event.event for event in desk.events] == ["opened", "resolved"]


def test_a_group_ends_with_its_last_incident_and_is_brought_up_to_date_before() -> None:
    """Forty-nine ends are one update, the last one is the end; a new incident is a new group."""
    desk = burst(Desk())
    desk.tick(30)
    for number, name in enumerate(FIFTY[:49]):
        assert told(desk.end(60 + number / 10, name)) == []
    assert desk.ticks(65, 89.8) == []
    (update,) = desk.tick(90)
    assert (update.event, update.incident_key, update.members_total) == ("updated", incident(FIFTY[49]).incident_key, 50)
    assert [member.state for member in update.members] == ["firing"] + ["resolved"] * 49
    (end,) = desk.end(100, FIFTY[49])
    assert told([end]) == [("resolved", None)]
    assert {member.state for member in end.members} == {"resolved"}
    assert desk.ticks(100, 5 * HOUR, 30) == []
    assert desk.paging.states == {}
    assert desk.alert(101, incident("new"))[0].group_key == incident("new").incident_key


def test_critical_incidents_do_not_wait_and_a_burst_of_them_is_two_messages() -> None:
    """The first pages at once; the others come with the message half a minute later."""
    desk = Desk()
    for number, name in enumerate(FIFTY):
        desk.alert(number / 5, incident(name, severity="critical", channels=("pagerduty",)))
        desk.tick(number / 5)
    desk.ticks(10, 200)
    messages = [(event.at, names(event)) for event in desk.events if event.target == "pagerduty" and event.notify]
    assert [(at, len(listed)) for at, listed in messages] == [(from_ms(now_at(0)), 1), (from_ms(now_at(30)), 50)]


def test_nobody_acknowledges_for_four_hours_and_everybody_is_told_again() -> None:
    """Four hours after each receiver was last told, again after four more; one message each; measured on ticks of a second."""
    desk = burst(Desk())
    desk.ticks(10, 9 * HOUR, 1)
    repeats = [(event.target, (event.at - from_ms(now_at(0))).total_seconds()) for event in desk.events if event.event == "repeated"]
    first = {"slack-ops": 30, "dev-team": 30, "slack-critical": 450, "pagerduty": 900}
    assert sorted(repeats) == sorted((target, at + hours * HOUR) for target, at in first.items() for hours in (4, 8))
    assert all(event.notify and event.members_total == 50 for event in desk.events if event.event == "repeated")


def test_what_is_acknowledged_or_over_is_not_told_again() -> None:
    """An acknowledgement that is taken back begins the four hours anew."""
    desk = Desk()
    desk.alert(0, incident("a"))
    desk.ticks(0, 1000, 1)
    desk.command(1000, ack("a", 1000))
    assert desk.ticks(1000, 6 * HOUR, 60) == []
    desk.command(6 * HOUR, unack("a", 6 * HOUR))
    assert desk.ticks(6 * HOUR, 10 * HOUR - 1, 60) == []
    assert [event.event for event in desk.tick(10 * HOUR)] == ["repeated"] * 4
    desk.end(10 * HOUR, "a")
    assert desk.ticks(10 * HOUR, 20 * HOUR, 60) == []


def test_a_command_on_the_lead_of_a_group_is_for_all_that_are_open() -> None:
    """One message says so; who joins afterwards escalates by itself."""
    desk = burst(Desk())
    desk.tick(30)
    events = desk.command(60, ack(FIFTY[0], 60))
    assert (len(events), told(events)) == (50, [("acked", None)])
    assert (events[-1].incident_key, events[-1].members_total) == (incident(FIFTY[0]).incident_key, 50)
    assert {member.state for member in events[-1].members} == {"acknowledged"}
    assert desk.ticks(60, HOUR, 5) == []
    desk.alert(HOUR, incident("late"))
    assert told(desk.tick(HOUR + 30)) == [("step_due", "slack-ops"), ("step_due", "dev-team")]
    back = desk.command(HOUR + 60, unack(FIFTY[0], HOUR))
    assert (len(back), told(back)) == (50, [("unacked", None)])


def test_a_command_on_a_lead_that_is_over_is_for_those_that_are_not() -> None:
    """The button of the group's message still works, once, also after a restart."""
    desk = burst(Desk())
    desk.tick(30)
    desk.end(40, FIFTY[0])
    events = desk.command(60, ack(FIFTY[0], 60))
    assert (len(events), told(events), events[-1].incident_key) == (50, [("acked", None)], incident(FIFTY[0]).incident_key)
    desk.alert(70, incident("late"))
    assert desk.restart(80) == []
    assert not desk.paging.states[incident("late").incident_key].acked_at_ms


def test_a_command_on_another_member_is_for_that_one() -> None:
    """The others go on."""
    desk = burst(Desk())
    desk.tick(30)
    assert len(desk.command(60, ack(FIFTY[3], 60))) == 1
    assert len(desk.tick(450)) == 49


def test_a_snoozed_member_is_not_told_of_along_with_the_others() -> None:
    """Until its snooze is over."""
    desk = burst(Desk())
    desk.tick(30)
    desk.command(60, snooze(FIFTY[3], 60, HOUR))
    assert {event.target for event in desk.tick(450)} == {"slack-critical"}
    assert FIFTY[3] not in [event.alert.summary.split()[0] for event in desk.events if event.target == "slack-critical"]
    again = [event.target for event in desk.tick(HOUR) if event.alert.summary == f"{FIFTY[3]} fires"]
    assert set(again) == {"dev-team", "pagerduty", "slack-critical", "slack-ops"}


def test_a_command_half_obeyed_by_an_alerter_that_died_is_obeyed_to_the_end() -> None:
    """The lead's event, which comes last, was not published: the rest is acknowledged, and everybody told."""
    desk = burst(Desk())
    desk.tick(30)
    before = len(desk.said)
    desk.command(60, ack(FIFTY[0], 60))
    del desk.said[before + 20 :]
    events = desk.restart(70)
    assert (len(events), told(events)) == (30, [("acked", None)])
    assert desk.ticks(70, HOUR, 10) == []


def test_an_acknowledgement_that_only_lacks_the_mark_on_a_lead_that_is_over_is_told() -> None:
    """Whoever published the others' events died before the one that tells everybody."""
    desk = burst(Desk())
    desk.tick(30)
    desk.end(40, FIFTY[0])
    desk.command(60, ack(FIFTY[0], 60))
    del desk.said[-1]
    (marked,) = desk.restart(70)
    assert (told([marked]), marked.incident_key) == ([("acked", None)], incident(FIFTY[0]).incident_key)
    assert desk.restart(80) == []


def test_what_was_passed_over_on_a_member_is_not_obeyed_after_a_command_on_its_lead() -> None:
    """A second acknowledgement of it changed nothing; then all were taken back; a restart leaves it so."""
    desk = Desk()
    for name in "ab":
        desk.alert(0, incident(name))
    desk.tick(30)
    for at, command in ((40, ack("b", 40, "c-1")), (41, ack("b", 41, "c-2")), (42, unack("a", 42, "c-3"))):
        desk.command(at, command)
    assert desk.restart(50) == []


def test_who_joined_a_group_since_is_not_acknowledged_by_a_restart() -> None:
    """A second acknowledgement of the lead changed nothing when it came; then another incident joined."""
    desk = Desk()
    desk.alert(0, incident("a"))
    desk.tick(30)
    desk.command(40, ack("a", 40, "c-1"))
    desk.command(41, ack("a", 41, "c-2"))
    desk.alert(50, incident("b"))
    assert desk.restart(60) == []
    assert told(desk.tick(330)) == [("step_due", "slack-ops"), ("step_due", "dev-team")]
