from __future__ import annotations

import pytest

from alerting.incidents import as_document, as_text, find, incidents_of
from pipeline.runtime.errors import Stop
from schemas.alert import Alert
from schemas.escalation import Escalation
from tests.unit.alerting.stage import MENUS, Stage, ack, alerts, new_engine


def said() -> Stage:
    """An incident that is acknowledged and over, then one that is open."""
    stage = Stage(new_engine(only=MENUS)).start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    stage.command(ack(alerts(stage.said)[0].incident_key, 60), 60)
    for pane in range(60, 150, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    stage.sources[0].failures(155, 400)
    stage.flush(155.2, only=[0])
    return stage


def test_incidents_are_newest_first_with_who_was_told_and_who_acknowledged() -> None:
    """Two incidents, one of them over; a repeated record changes nothing."""
    stage = said()
    records = [output for output in stage.said if isinstance(output, Alert)]
    events = [output for output in stage.said if isinstance(output, Escalation)]
    open_one, over = incidents_of([*records, records[0]], [*events, events[0]])
    assert (open_one.alert.state, open_one.acked_by, open_one.paged) == ("firing", "", ("slack-critical", "pagerduty"))
    assert (over.alert.state, over.acked_by, over.is_open) == ("resolved", "alice", False)
    assert as_text(over).startswith(f"{over.alert.incident_key[:12]}  resolved      critical since 2026-11-23T10:00:51.000Z")
    assert as_document(open_one)["paged"] == ["slack-critical", "pagerduty"]


def test_an_incident_is_found_by_the_beginning_of_its_key() -> None:
    """One that is open and alone is meant; else the line says what to do."""
    stage = said()
    incidents = incidents_of(
        [output for output in stage.said if isinstance(output, Alert)], [output for output in stage.said if isinstance(output, Escalation)]
    )
    open_one, over = incidents
    assert find(incidents, open_one.alert.incident_key[:6].upper()) == open_one
    with pytest.raises(Stop, match="is over since 2026-11-23T10:02:"):
        find(incidents, over.alert.incident_key[:6])
    with pytest.raises(Stop, match="no incident's key begins with xyz"):
        find(incidents, "xyz")
    twin = type(open_one)(open_one.alert.model_copy(update={"incident_key": open_one.alert.incident_key[:20] + "0" * 44}), "", ())
    with pytest.raises(Stop, match="is the beginning of 2 open incidents"):
        find([open_one, twin], open_one.alert.incident_key[:6])
