from __future__ import annotations

from dataclasses import replace

import pytest

from alerting.incidents import History, Incident, as_document, as_text, find, incidents_of, open_members
from pipeline.runtime.errors import Stop
from tests.unit.alerting.story import Story, at, plan, whole_story


def of(history: History) -> list[Incident]:
    return incidents_of(history.alerts, history.escalations)


def two() -> tuple[list[Incident], Story, Story]:
    """One that is over and was acknowledged; a later one that is open and has been told of."""
    over = whole_story()
    still = Story("two", history=over.history)
    still.alert("firing", 900, since=at(890))
    still.event("opened", 900, plan=plan((0, "slack-critical", 900), (1, "ceo", 1_200)))
    still.event("step_due", 900, step=0, target="slack-critical", due_at=at(900))
    return of(over.history), over, still


def test_incidents_are_newest_first_with_who_was_told_and_who_acknowledged() -> None:
    """Two incidents, one of them over; a repeated record changes nothing."""
    (open_one, over), story, _ = two()
    assert (open_one.alert.state, open_one.acked_by, open_one.paged, open_one.is_open) == ("firing", "", ("slack-critical",), True)
    assert (over.alert.state, over.acked_by, over.is_open) == ("resolved", "alice", False)
    assert as_text(over).startswith(f"{story.key[:12]}  resolved      critical since 2026-11-23T10:00:00.000Z  acknowledged by alice\n")
    assert as_text(open_one).splitlines()[0].endswith("since 2026-11-23T10:14:50.000Z  told: slack-critical")
    document = as_document(open_one)
    assert (document["paged"], document["snoozed_until"], document["group_key"]) == (["slack-critical"], None, open_one.alert.incident_key)
    story.history.alerts.append(story.history.alerts[0])
    assert of(story.history) == [open_one, over]


def test_a_snooze_is_shown_until_somebody_acknowledges() -> None:
    """With the time at which it pages again."""
    story = Story()
    story.alert("firing", 0)
    story.event("opened", 0)
    assert as_text(of(story.history)[0]).splitlines()[0].endswith("told: nobody")
    story.event("snoozed", 10, actor="alice", command_id="c", until=at(3_610))
    (incident,) = of(story.history)
    assert incident.snoozed_until == at(3_610)
    assert as_text(incident).splitlines()[0].endswith("told: nobody, snoozed until 2026-11-23T11:00:10.000Z")
    assert as_document(incident)["snoozed_until"] == "2026-11-23T11:00:10.000Z"


def test_what_senders_send_does_not_command_the_terminal() -> None:
    """Two lines, whatever is in a label that the summary names."""
    (incident,) = of(whole_story().history)
    alert = incident.alert.model_copy(update={"summary": "page=/a\n\u202e\x1b[2J is slow"})
    assert as_text(replace(incident, alert=alert)).splitlines()[1:] == ["  page=/a   [2J is slow"]


def test_an_incident_is_found_by_the_beginning_of_its_key() -> None:
    """One that is open and alone is meant; else the line says what to do."""
    incidents, over, still = two()
    open_one, over_one = incidents
    assert find(incidents, still.key[:6].upper()) == open_one
    with pytest.raises(Stop, match=r"is over since 2026-11-23T10:12:05\.000Z"):
        find(incidents, over.key[:6])
    assert find(incidents, over.key[:6], over_too=True) == over_one
    with pytest.raises(Stop, match="no incident's key begins with xyz"):
        find(incidents, "xyz", over_too=True)
    twin = Incident(open_one.alert.model_copy(update={"incident_key": still.key[:20] + "0" * 44}), "", ())
    with pytest.raises(Stop, match="is the beginning of 2 open incidents"):
        find([open_one, twin], still.key[:6])


def test_the_first_of_a_group_names_the_group_after_its_end() -> None:
    """People have its key from the message: a command on it is for those that are still open, and for nobody once all are over."""
    lead = Story("lead", group="lead")
    lead.alert("firing", 0)
    lead.event("opened", 0)
    lead.alert("resolved", 60)
    member = Story("member", history=lead.history, group="lead")
    member.alert("firing", 10)
    member.event("opened", 10)
    incidents = of(lead.history)
    found = find(incidents, lead.key[:12])
    assert (found.alert.incident_key, found.is_open) == (lead.key, False)
    assert [one.alert.incident_key for one in open_members(incidents, found)] == [member.key]
    member.alert("resolved", 70)
    with pytest.raises(Stop, match="is over since"):
        find(of(lead.history), lead.key[:12])
    alone = Story("alone")
    alone.alert("firing", 0)
    (incident,) = of(alone.history)
    assert open_members([incident], incident) == [incident]
