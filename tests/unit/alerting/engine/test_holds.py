from __future__ import annotations

from itertools import permutations

import pytest

from alerting.engine.document import parse_document
from alerting.engine.routing import Routing, parse_routing
from schemas.alert import Severity
from tests.unit.alerting.desk import HOUR, Desk, ack, incident, names, silence, told, unsilence
from tests.unit.alerting.traffic import now_at

GROUPS = "groups: {wait: 30s, interval: 5m, repeat: 4h, severities: {critical: {wait: 0s, interval: 0s}}}\n"
STEP_0 = [("step_due", "slack-ops"), ("step_due", "dev-team")]


def routing(inhibit: str) -> Routing:
    return parse_routing(parse_document(f"{GROUPS}inhibit:\n{inhibit}"))


def test_a_silence_holds_pages_back_and_what_is_open_when_it_expires_is_told() -> None:
    """One decision for each step that is held back, with author, end and reason."""
    desk = Desk()
    desk.command(0, silence(0, 600))
    desk.alert(10, incident())
    assert desk.ticks(10, 599.8) == []
    assert [decision.reason for decision in desk.decisions] == [
        f"step {step} is held back: bob silenced the rule until 2026-11-23T10:10:00.000Z: load test" for step in (0, 1)
    ]
    assert told(desk.tick(600)) == [*STEP_0, ("step_due", "slack-critical")]


def test_a_silence_never_holds_back_an_end() -> None:
    """Whoever was paged before it hears that the incident is over."""
    desk = Desk()
    desk.alert(0, incident())
    desk.tick(30)
    desk.command(40, silence(40, HOUR))
    assert told(desk.end(100, "a")) == [("resolved", None)]


def test_a_silence_holds_back_repeats() -> None:
    """The repeat that came due comes when it expires; the decision says what was held."""
    desk = Desk()
    desk.alert(0, incident())
    desk.ticks(0, 1000, 5)
    desk.command(1000, silence(1000, 6 * HOUR))
    assert desk.ticks(1000, 6 * HOUR - 10, 10) == []
    assert [decision.reason.split(" is ")[0] for decision in desk.decisions] == [
        "repeat to slack-ops", "repeat to dev-team", "repeat to slack-critical", "repeat to pagerduty",
    ]  # fmt: skip
    assert [event.event for event in desk.tick(6 * HOUR)] == ["repeated"] * 4


def test_a_maintenance_window_is_a_silence_with_a_start() -> None:
    """Before it pages go out, in it they do not."""
    desk = Desk()
    desk.command(0, silence(0, 600, starts_s=100))
    desk.alert(10, incident("a"))
    assert told(desk.tick(40)) == STEP_0
    assert desk.tick(460) == []
    assert [event.target for event in desk.tick(600)] == ["slack-critical"]


@pytest.mark.parametrize(
    ("of", "holds"),
    [
        ({"rule": "*"}, True),
        ({"rule": "other"}, False),
        ({"labels": {"host": "x"}}, True),
        ({"labels": {"host": "y"}}, False),
        ({"labels": {"host": "x", "zone": "1"}}, False),
    ],
)
def test_a_silence_covers_a_rule_or_all_and_those_with_its_labels(of: dict[str, object], holds: bool) -> None:
    """Every label has to be there."""
    desk = Desk()
    given = {"rule": "R", "labels": None, **of}
    desk.command(0, silence(0, 600, rule=str(given["rule"]), labels=given["labels"]))  # type: ignore[arg-type]
    desk.alert(0, incident(labels={"host": "x", "team": "t"}))
    assert (desk.tick(30) == []) == holds


def test_a_silence_can_be_ended_and_a_repeat_of_it_does_not_bring_it_back() -> None:
    """What is due is told at the next tick; the record of the silence comes once more, and means nothing."""
    desk = Desk()
    desk.command(0, silence(0, 10 * HOUR))
    desk.alert(0, incident())
    desk.tick(30)
    desk.command(60, unsilence(60))
    desk.command(60, silence(0, 10 * HOUR))
    assert told(desk.tick(60)) == STEP_0


def test_silences_are_known_after_a_restart() -> None:
    """They are on the topic of commands; those that have expired are not known any more."""
    desk = Desk()
    desk.command(0, silence(0, 600))
    desk.command(0, silence(0, 50, rule="*", silence_id="s-2", command_id="c-2"))
    desk.alert(0, incident())
    desk.restart(60)
    assert desk.tick(60) == []
    assert [known.silence_id for known in desk.paging.silences(now_at(60))] == ["s-1"]
    assert told(desk.tick(600)) == [*STEP_0, ("step_due", "slack-critical")]


def test_a_stalled_pipeline_speaks_for_everything_that_is_absent() -> None:
    """With the shipped routes: one page for the stall, a decision for each of the others, and none of them once it is over."""
    desk = Desk()
    desk.alert(0, incident("stall", rule="pipeline_stalled"))
    for number in range(20):
        desk.alert(1, incident(f"absent{number}", rule="data_absent", severity="medium", labels={"service": str(number)}))
    messages = [event for event in desk.ticks(1, 60) if event.notify]
    assert [(event.target, names(event)) for event in messages] == [("slack-ops", ["stall"]), ("dev-team", ["stall"])]
    assert len(desk.decisions) == 20
    assert {decision.reason for decision in desk.decisions} == {
        f"step 0 is held back: pipeline_stalled ({incident('stall').incident_key[:12]}) inhibits it"
    }
    assert told(desk.end(60, "stall")) == [("resolved", None)]
    for number in range(20):
        assert told(desk.end(70, f"absent{number}")) == []
    assert told(desk.ticks(70, HOUR, 5)) == []


def test_what_outlives_the_incident_that_inhibited_it_is_told_half_a_minute_later() -> None:
    """Then it is a problem of its own; also when the alerter was restarted in between."""
    for restart in (False, True):
        desk = Desk()
        desk.alert(0, incident("stall", rule="pipeline_stalled"))
        desk.alert(1, incident("absent", rule="data_absent", severity="medium"))
        desk.ticks(1, 60)
        desk.end(60, "stall")
        if restart:
            desk.restart(70)
        assert told(desk.ticks(70, 89.8)) == []
        assert [event.target for event in desk.tick(90)] == ["slack-ops", "product-team"]


def test_an_inhibition_asks_for_equal_labels() -> None:
    """An outage of one provider says nothing about another one."""
    by_provider = routing("  - {source: {rule: outage}, target: {rule: errors}, equal: [provider]}")
    desk = Desk(routing=by_provider)
    desk.alert(0, incident("o", rule="outage", severity="critical", labels={"provider": "ollama"}))
    desk.alert(1, incident("e1", rule="errors", labels={"provider": "ollama"}))
    desk.alert(1, incident("e2", rule="errors", labels={"provider": "claude"}))
    assert {event.alert.summary for event in desk.ticks(1, 60) if event.alert.rule == "errors"} == {"e2 fires"}


def test_no_incident_inhibits_itself() -> None:
    """Also where a rule matches both sides of an inhibition: the first one pages, those that come later do not."""
    desk = Desk(routing=routing("  - {source: {severity: critical}, target: {severity: [critical, high]}}"))
    for number, name in enumerate("abc"):
        desk.alert(number, incident(name, rule=name, severity="critical"))
    events = desk.ticks(2, 20)
    assert {event.alert.summary for event in events} == {"a fires"}


def test_of_incidents_that_inhibit_each_other_there_is_always_one_that_pages() -> None:
    """In a ring of three, opened in any order: the first of the most severe."""
    ring = routing("".join(f"  - {{source: {{rule: {a}}}, target: {{rule: {b}}}}}\n" for a, b in ("xy", "yz", "zx")))
    severities: tuple[tuple[Severity, ...], ...] = (("high", "high", "high"), ("critical", "high", "high"), ("high", "medium", "critical"))
    for severity_of in severities:
        for order in permutations(range(3)):
            desk = Desk(routing=ring)
            for at, index in enumerate(order):
                desk.alert(at, incident("xyz"[index], rule="xyz"[index], severity=severity_of[index]))
            paged = {event.alert.rule for event in desk.ticks(2, 60) if event.event == "step_due"}
            worst = min(severity_of)  # alphabetically, as it happens
            assert next("xyz"[index] for index in order if severity_of[index] == worst) in paged


def test_what_is_less_severe_inhibits_nothing_above_it() -> None:
    """A medium incident does not keep a critical one from paging, whatever the file says."""
    desk = Desk(routing=routing("  - {source: {rule: m}, target: {severity: [critical, low]}}"))
    desk.alert(0, incident("m", rule="m", severity="medium"))
    desk.alert(1, incident("c", severity="critical"))
    assert len(told(desk.tick(1))) == 3


def test_an_acknowledged_incident_still_inhibits() -> None:
    """It is open; somebody works on it."""
    desk = Desk()
    desk.alert(0, incident("stall", rule="pipeline_stalled"))
    desk.command(1, ack("stall", 1))
    desk.alert(1, incident("absent", rule="data_absent", severity="medium"))
    assert desk.ticks(1, 60) == []
