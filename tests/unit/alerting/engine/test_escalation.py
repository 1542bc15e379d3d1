from __future__ import annotations

import pytest

from alerting.engine.engine import Engine, History
from alerting.engine.escalation import parse_chains
from alerting.engine.rule import RuleError
from schemas.alert import Alert
from schemas.command import Command, Reassign, Silence, Unsilence
from schemas.escalation import Escalation
from schemas.timestamps import from_ms
from tests.unit.alerting.stage import MENUS, Stage, ack, alerts, decisions, new_engine, pages, unack
from tests.unit.alerting.traffic import now_at


def engine(history: History | None = None) -> Engine:
    return new_engine(history, only=MENUS)


STEP_0 = [("opened", None, None), ("step_due", 0, "slack-critical"), ("step_due", 0, "pagerduty")]


def fired(at_s: float = 51.2) -> tuple[Stage, Alert]:
    """The seed's rule has just fired: its step 1 is due 30 s later, step 2 after 5 min."""
    stage = Stage(engine()).start().healthy_minute()
    stage.sources[0].failures(at_s, 400)
    stage.flush(at_s, only=[0])
    return stage, alerts(stage.said)[0]


def test_the_channels_of_the_rule_are_paged_at_once() -> None:
    """Step 0 is due with the alert, one event per channel, and each carries the whole alert."""
    stage, alert = fired()
    assert pages(stage.said) == STEP_0
    events = [output for output in stage.said if isinstance(output, Escalation)]
    assert all(event.alert == alert and event.at == from_ms(now_at(51.2)) for event in events)
    assert [(step.step, step.targets, step.due_at) for step in events[0].plan] == [
        (0, ("slack-critical", "pagerduty"), from_ms(now_at(51.2))),
        (1, ("dev-team",), from_ms(now_at(81.2))),
        (2, ("ceo",), from_ms(now_at(351.2))),
    ]


def test_steps_come_when_their_time_has_come_and_once() -> None:
    """Not a millisecond early, not twice."""
    stage, _ = fired()
    assert stage.tick(81.199) == []
    assert pages(stage.tick(81.2)) == [("step_due", 1, "dev-team")]
    assert stage.tick(351.199) == []
    assert pages(stage.tick(400)) == [("step_due", 2, "ceo")]
    assert stage.tick(500) == []


def test_an_acknowledgement_stops_the_steps() -> None:
    """Who acknowledged is in the event; nobody else is paged."""
    stage, alert = fired()
    (acked,) = stage.command(ack(alert.incident_key, 60), 60)
    assert isinstance(acked, Escalation)
    assert (acked.event, acked.actor, acked.command_id, acked.reason) == ("acked", "alice", "c-1", "acknowledged by alice")
    assert stage.tick(10_000) == []


def test_a_command_is_obeyed_once() -> None:
    """The same command again, and a second acknowledgement, change nothing."""
    stage, alert = fired()
    stage.command(ack(alert.incident_key, 60), 60)
    assert stage.command(ack(alert.incident_key, 60), 61) == []
    assert stage.command(ack(alert.incident_key, 62, command_id="c-9"), 62) == []


def test_an_acknowledgement_of_what_is_unknown_or_over_does_nothing() -> None:
    """Commands for other incidents are ignored."""
    stage, alert = fired()
    assert stage.command(ack("0" * 64, 60), 60) == []
    for pane in range(60, 150, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    assert pages(stage.said)[-1] == ("resolved", None, None)
    assert stage.command(ack(alert.incident_key, 151), 151) == []


def test_taking_an_acknowledgement_back_goes_on_with_the_time_that_was_left() -> None:
    """Acknowledged 10 s before step 1 was due and taken back at 100 s: step 1 is due at 110 s, step 2 at 380 s."""
    stage, alert = fired()
    stage.command(ack(alert.incident_key, 71.2), 71.2)
    assert pages(stage.command(unack(alert.incident_key, 100), 100)) == [("unacked", None, None)]
    assert stage.tick(109.999) == []
    assert pages(stage.tick(110)) == [("step_due", 1, "dev-team")]
    assert stage.tick(379.999) == []
    assert pages(stage.tick(380)) == [("step_due", 2, "ceo")]


def test_a_reassignment_pages_its_target_in_place_of_the_steps() -> None:
    """The steps to come are off; the target is told, and told of the end too."""
    stage, alert = fired()
    command = Reassign(command_id="c-3", at=from_ms(now_at(60)), by="alice", incident_key=alert.incident_key, target="product-team")
    assert pages(stage.command(command, 60)) == [("reassigned", None, "product-team")]
    assert stage.tick(10_000) == []
    assert stage.engine.escalations[alert.incident_key].paged == ("slack-critical", "pagerduty", "product-team")


def test_a_silence_holds_pages_back_until_it_ends() -> None:
    """A suppression is recorded once per step; what is still open afterwards pages."""
    stage = Stage(engine()).start().healthy_minute()
    silence = Silence(
        command_id="c-4", at=from_ms(now_at(40)), by="bob", silence_id="s-1", rule=MENUS, until=from_ms(now_at(120)), reason="load test"
    )
    stage.command(silence, 40)
    stage.sources[0].failures(51, 400)
    outputs = stage.flush(51.2, only=[0])
    assert pages(outputs) == [("opened", None, None)]
    reasons = [reason for _, _, reason in decisions(outputs) if "held back" in reason]
    assert reasons == ["step 0 is held back: bob silenced the rule until 2026-11-23T10:02:00.000Z: load test"]
    assert decisions(stage.tick(60)) == []
    assert [reason.split(":")[0] for _, _, reason in decisions(stage.tick(90))] == ["step 1 is held back"]
    assert pages(stage.tick(120)) == [("step_due", 0, "slack-critical"), ("step_due", 0, "pagerduty"), ("step_due", 1, "dev-team")]


def test_a_silence_can_be_ended() -> None:
    """Unsilence lets the next tick page."""
    stage = Stage(engine()).start().healthy_minute()
    silence = Silence(
        command_id="c-4", at=from_ms(now_at(40)), by="bob", silence_id="s-1", rule=MENUS, until=from_ms(now_at(9_999)), reason="x"
    )
    stage.command(silence, 40)
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    stage.command(Unsilence(command_id="c-5", at=from_ms(now_at(60)), by="bob", silence_id="s-1"), 60)
    assert pages(stage.tick(60)) == STEP_0[1:]


def test_a_restart_keeps_the_remaining_time() -> None:
    """Dead for a minute while step 1 came due: it is paged on return; step 2 comes at its own time, and nothing comes twice."""
    stage, _ = fired()
    after = Stage(engine(stage.history()))
    after.start(110)
    assert pages(after.said) == [("step_due", 1, "dev-team")]
    assert after.tick(351.1) == []
    assert pages(after.tick(351.2)) == [("step_due", 2, "ceo")]


def test_a_restart_keeps_an_acknowledgement() -> None:
    """Acknowledged before the restart, nobody is paged after it."""
    stage, alert = fired()
    stage.command(ack(alert.incident_key, 60), 60)
    after = Stage(engine(stage.history())).start(110)
    assert after.said == []
    assert after.tick(10_000) == []


def test_a_command_given_while_the_alerter_was_away_is_obeyed_on_return() -> None:
    """It is on the topic and no escalation event names it."""
    stage, alert = fired()
    history = stage.history()
    history.commands.append(ack(alert.incident_key, 60))
    after = Stage(engine(history)).start(70)
    assert pages(after.said) == [("acked", None, None)]
    assert after.tick(10_000) == []


def test_a_command_that_was_passed_over_is_not_obeyed_later() -> None:
    """An acknowledgement that came second, before one was taken back, does not return from the dead."""
    stage, alert = fired()
    commands: list[Command] = [
        ack(alert.incident_key, 60),
        ack(alert.incident_key, 61, command_id="c-7", by="carol"),
        unack(alert.incident_key, 62),
    ]
    for command in commands:
        stage.command(command, 62)
    history = stage.history()
    history.commands.extend(commands)
    after = Stage(engine(history)).start(63)
    assert after.said == []


def test_what_a_dead_alerter_left_half_said_is_said() -> None:
    """An alert without its escalation, an escalation without one of its pages, an end without its end of the escalation."""
    stage, alert = fired()
    only_alert = History(alerts=[(now_at(51), alert)])
    assert pages(Stage(engine(only_alert)).start(52).said) == STEP_0
    history = stage.history()
    history.escalations = history.escalations[:2]
    assert pages(Stage(engine(history)).start(52).said) == [("step_due", 0, "pagerduty")]
    resolved = alert.model_copy(update={"state": "resolved", "transition_id": "f" * 64})
    history = stage.history()
    history.alerts.append((now_at(52), resolved))
    assert pages(Stage(engine(history)).start(53).said) == [("resolved", None, None)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("critical: [{after: 30, targets: [a]}]", "critical, 0, after: a duration is written with its unit"),
        ("critical: [{after: 30s, targets: []}]", "critical, 0, targets: "),
        ("urgent: []", "urgent"),
        ("critical: [", "not YAML: "),
    ],
)
def test_a_wrong_escalation_file_is_refused_in_one_line(text: str, says: str) -> None:
    """The line names severity, step and field."""
    with pytest.raises(RuleError) as refused:
        parse_chains(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
