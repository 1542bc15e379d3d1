from __future__ import annotations

from collections.abc import Callable

import pytest

from alerting.engine.escalation import EscalationState, fold
from alerting.engine.identity import digest
from schemas.alert import Context
from schemas.command import Command
from schemas.escalation import Escalation
from schemas.timestamps import from_ms
from tests.unit.alerting.desk import HOUR, MINUTE, Desk, ack, incident, names, reassign, snooze, told, unack
from tests.unit.alerting.traffic import now_at

MENUS = ("slack-critical", "pagerduty")
STEP_0 = [("step_due", "slack-critical"), ("step_due", "pagerduty"), ("step_due", "dev-team")]


def critical(at_s: float = 0) -> Desk:
    """A critical incident has just paged; the ceo comes after five minutes."""
    desk = Desk()
    desk.alert(at_s, incident(severity="critical", channels=MENUS))
    desk.tick(at_s)
    return desk


def test_an_incident_opens_with_its_whole_plan_and_pages_with_the_next_tick() -> None:
    """Each event carries the whole alert."""
    desk = Desk()
    alert = incident(severity="critical", channels=MENUS)
    (opened,) = desk.alert(0, alert)
    assert [(step.step, step.targets, step.due_at) for step in opened.plan] == [
        (0, ("slack-critical", "pagerduty", "dev-team"), from_ms(now_at(0))),
        (1, ("ceo",), from_ms(now_at(300))),
    ]
    assert (opened.notify, opened.group_key) == (False, alert.incident_key)
    assert told(desk.tick(0)) == STEP_0
    assert all(event.alert == alert and names(event) == ["a"] for event in desk.events[1:])


def test_an_acknowledgement_stops_the_steps() -> None:
    """Who acknowledged is in the event; nobody else is paged."""
    desk = critical()
    (acked,) = desk.command(60, ack("a", 60))
    assert (acked.event, acked.actor, acked.command_id, acked.reason) == ("acked", "alice", "c-ack", "acknowledged by alice")
    assert [member.state for member in acked.members] == ["acknowledged"]
    assert desk.ticks(60, 2 * HOUR, 5) == []


def test_a_command_is_obeyed_once_and_an_acknowledgement_of_what_is_acknowledged_does_nothing() -> None:
    """The same command again, and a second one that says the same, change nothing."""
    desk = critical()
    desk.command(60, ack("a", 60))
    assert desk.command(61, ack("a", 60)) == []
    assert desk.command(62, ack("a", 62, "c-9")) == []


def test_a_command_about_what_is_unknown_or_over_does_nothing() -> None:
    """Whatever it asks for."""
    desk = critical()
    given: list[Callable[[str], Command]] = [
        lambda name: ack(name, 60),
        lambda name: unack(name, 60),
        lambda name: reassign(name, 60, "product-team"),
        lambda name: snooze(name, 60, HOUR),
    ]
    assert [event for command in given for event in desk.command(60, command("b"))] == []
    desk.end(61, "a")
    assert [event for command in given for event in desk.command(62, command("a"))] == []


def test_taking_an_acknowledgement_back_goes_on_with_the_time_that_was_left_to_the_millisecond() -> None:
    """Acknowledged 1.234 s before the ceo was due, restarted twice, taken back two hours later: 1.234 s later."""
    desk = critical()
    desk.command(298.766, ack("a", 298.766))
    desk.restart(3000)
    assert desk.ticks(3000, 2 * HOUR, 60) == []
    assert told(desk.command(2 * HOUR, unack("a", 2 * HOUR))) == [("unacked", None)]
    desk.restart(2 * HOUR + 0.5)
    assert desk.tick(2 * HOUR + 1.233) == []
    assert told(desk.tick(2 * HOUR + 1.234)) == [("step_due", "ceo")]


def test_a_restart_keeps_the_remaining_time() -> None:
    """Dead while nothing came due: the step comes at its own time, once."""
    desk = critical()
    assert desk.restart(200) == []
    assert desk.tick(299.999) == []
    assert told(desk.tick(300)) == [("step_due", "ceo")]
    assert desk.restart(301) == []
    assert desk.tick(301) == []


def test_what_came_due_while_the_alerter_was_away_is_paged_on_return() -> None:
    """Late, and once."""
    desk = critical()
    assert desk.restart(400) == []
    assert told(desk.tick(400)) == [("step_due", "ceo")]


def test_an_acknowledgement_given_while_the_alerter_was_away_is_obeyed_before_anything_is_paged() -> None:
    """It is on the topic, and no escalation event names it."""
    desk = critical()
    desk.commands.append(ack("a", 250))
    assert told(desk.restart(400)) == [("acked", None)]
    assert desk.ticks(400, 2 * HOUR, 60) == []


def test_a_command_that_was_passed_over_is_not_obeyed_later() -> None:
    """An acknowledgement that came second, before one was taken back, does not return from the dead."""
    desk = critical()
    for command in (ack("a", 60), ack("a", 61, "c-7", by="carol"), unack("a", 62)):
        desk.command(62, command)
    assert desk.restart(63) == []


def test_a_snooze_holds_what_comes_due_and_pages_again_when_it_is_over() -> None:
    """Those who had been paged are, and the ceo, who was due in between; repeats wait too."""
    desk = critical()
    (snoozed,) = desk.command(60, snooze("a", 60, 6 * HOUR))
    assert (snoozed.event, snoozed.until, snoozed.notify) == ("snoozed", from_ms(now_at(6 * HOUR)), True)
    desk.restart(100)
    assert desk.ticks(100, 6 * HOUR - 1, 10) == []
    again = desk.tick(6 * HOUR)
    assert told(again) == [*STEP_0, ("step_due", "ceo")]
    assert [event.reason for event in again[:3]] == ["the snooze is over, and nobody has acknowledged"] * 3
    assert len({event.escalation_id for event in desk.events}) == len(desk.events)


@pytest.mark.parametrize("ends", ["ack", "resolve"])
def test_a_snooze_pages_nobody_about_what_is_acknowledged_or_over_by_then(ends: str) -> None:
    """There is nobody to wake up."""
    desk = critical()
    desk.command(60, snooze("a", 60, HOUR))
    if ends == "ack":
        desk.command(70, ack("a", 70))
    else:
        desk.end(70, "a")
    assert desk.ticks(70, 2 * HOUR, 10) == []


def test_a_snooze_beyond_the_next_repeat_is_not_looked_at_until_it_is_over() -> None:
    """Told at 30 s, it would be repeated after 4 h; nothing is due before the snooze ends."""
    desk = Desk()
    desk.alert(0, incident())
    desk.tick(30)
    desk.command(60, snooze("a", 60, 6 * HOUR))
    desk.ticks(60, 5 * HOUR, MINUTE)
    assert desk.paging._due.take(now_at(6 * HOUR - 1)) == []
    assert desk.paging._due.take(now_at(6 * HOUR)) == [digest("a")]


def test_a_snooze_that_has_ended_or_is_of_what_is_acknowledged_does_nothing() -> None:
    """The incident goes on as it was."""
    desk = critical()
    assert desk.command(60, snooze("a", 60, 59)) == []
    desk.command(61, ack("a", 61))
    assert desk.command(62, snooze("a", 62, HOUR, "c-2")) == []


def test_a_reassignment_pages_its_target_in_place_of_the_steps() -> None:
    """The steps to come are off; repeats go to the target alone, and everybody who was paged hears of the end."""
    desk = critical()
    assert told(desk.command(60, reassign("a", 60, "product-team"))) == [("reassigned", "product-team")]
    assert told(desk.ticks(60, 60 + 4 * HOUR, 5)) == [("repeated", "product-team")]
    assert desk.paging.states[incident().incident_key].paged == (*MENUS, "dev-team", "product-team")
    assert told(desk.end(5 * HOUR, "a")) == [("resolved", None)]


def test_retroactive_alerts_page_nobody() -> None:
    """They are recorded; one that fires after all escalates."""
    desk = Desk()
    assert desk.alert(0, incident(state="retro_fired")) == []
    assert len(desk.alert(10, incident())) == 1
    assert desk.alert(20, incident("b", state="retro_fired")) == []
    assert desk.alert(30, incident("b", state="retro_cleared")) == []


def test_later_states_of_an_incident_are_what_later_events_carry() -> None:
    """No data, an acknowledgement's own alert, and what was found about it."""
    desk = critical()
    assert desk.alert(20, incident(severity="critical", channels=MENUS, state="no_data")) == []
    desk.paging.attach(incident().incident_key, Context(note="nothing was found"))
    (ceo,) = desk.tick(300)
    assert (ceo.alert.state, ceo.alert.context, ceo.members[0].state) == ("no_data", Context(note="nothing was found"), "no_data")


def test_what_a_dead_alerter_left_half_said_is_said() -> None:
    """An alert without its escalation, an escalation without one of its pages, an end without its end of the escalation."""
    desk = Desk()
    desk.alert(0, incident(severity="critical", channels=MENUS))
    desk.said.clear()
    assert [event.event for event in desk.restart(1)] == ["opened"]
    assert told(desk.tick(1)) == STEP_0
    del desk.said[-1:]
    desk.restart(2)
    assert told(desk.tick(2)) == STEP_0[2:]
    desk.alerts[incident().incident_key] = incident(severity="critical", channels=MENUS, state="resolved")
    assert told(desk.restart(3)) == [("resolved", None)]
    assert (desk.restart(4), desk.ticks(4, HOUR, 60)) == ([], [])


def test_what_a_zombie_wrote_about_an_incident_that_is_over_opens_nothing() -> None:
    """An alerter that slept through the end pages once more; whoever reads the topic next is not led astray."""
    desk = critical()
    page = desk.events[-1].model_copy(update={"escalation_id": "e" * 64, "target": "ceo", "step": 1})
    desk.end(100, "a")
    desk.said.append(page)
    assert desk.restart(200) == []
    assert desk.paging.states == {}
    assert desk.ticks(200, HOUR, 60) == []


def lived() -> list[Escalation]:
    """Everything that can happen to one incident."""
    desk = critical()
    desk.command(60, snooze("a", 60, 10 * MINUTE))
    desk.tick(10 * MINUTE)
    desk.command(11 * MINUTE, ack("a", 660))
    desk.command(12 * MINUTE, unack("a", 720))
    desk.ticks(12 * MINUTE, 5 * HOUR, 30)
    desk.command(5 * HOUR, reassign("a", 5 * HOUR, "product-team"))
    desk.end(6 * HOUR, "a")
    return desk.events


def folded(events: list[Escalation]) -> EscalationState | None:
    state: EscalationState | None = None
    for event in events:
        state = fold(state, event)
    return state


def test_an_event_that_is_repeated_at_any_later_point_changes_nothing() -> None:
    """Not the state then, so nothing that follows."""
    events = lived()
    assert {event.event for event in events} == {
        "opened", "step_due", "snoozed", "acked", "unacked", "repeated", "reassigned", "resolved",
    }  # fmt: skip
    for end in range(1, len(events) + 1):
        state = folded(events[:end])
        assert all(fold(state, event) == state for event in events[:end])


def test_the_identity_of_an_event_is_what_it_is_about() -> None:
    """Two alerters that decide the same give it the same one, at whatever moment; no two events share theirs."""
    ids = [event.escalation_id for event in lived()]
    assert len(set(ids)) == len(ids)
    first, second = critical(), critical()
    assert [e.escalation_id for e in first.tick(300)] == [e.escalation_id for e in second.tick(307)]
