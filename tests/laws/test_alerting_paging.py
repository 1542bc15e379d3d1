from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.document import parse_document
from alerting.engine.identity import digest
from alerting.engine.paging import Paging
from alerting.engine.routing import Routing, parse_routing
from schemas.alert import Severity
from schemas.command import Command
from tests.unit.alerting.desk import POLICY, Desk, ack, incident, reassign, silence, snooze, unack, unsilence
from tests.unit.alerting.traffic import now_at

ROUTING: Routing = parse_routing(
    parse_document(
        "groups: {wait: 30s, interval: 5m, repeat: 4h, severities: {critical: {wait: 0s, interval: 30s}}}\n"
        "inhibit: [{source: {severity: critical}, target: {severity: [high, low]}, equal: [zone]}]"
    )
)
RULES: dict[str, tuple[Severity, str]] = {
    "outage": ("critical", "x"), "errors": ("high", "x"), "slow": ("high", "y"), "sad": ("medium", "y"), "bug": ("low", "x"),
}  # fmt: skip
NAMES = [f"{rule}/{number}" for rule in RULES for number in range(3)]
Action = Callable[[Desk, float, str], object]


def fires(desk: Desk, at_s: float, name: str) -> None:
    rule = rule_of(name)
    severity, zone = RULES[rule]
    if digest(name) not in desk.alerts:
        desk.alert(at_s, incident(name, rule=rule, severity=severity, labels={"zone": zone}))


def ends(desk: Desk, at_s: float, name: str) -> None:
    alert = desk.alerts.get(digest(name))
    if alert is not None and alert.state == "firing":
        desk.end(at_s, name)


def rule_of(name: str) -> str:
    return name.partition("/")[0]


def commanding(command: Callable[[str, float], Command]) -> Action:
    """Keys become known with their alerts: nobody can ask anything about an incident before."""

    def act(desk: Desk, at_s: float, name: str) -> None:
        if digest(name) in desk.alerts:
            desk.command(at_s, command(name, at_s))

    return act


ACTIONS: list[Action] = [
    fires,
    fires,
    fires,
    ends,
    lambda desk, at, name: desk.tick(at),
    commanding(lambda name, at: ack(name, at, f"ack {at}")),
    commanding(lambda name, at: unack(name, at, f"unack {at}")),
    commanding(lambda name, at: snooze(name, at, at + 500, f"snooze {at}")),
    commanding(lambda name, at: reassign(name, at, "product-team", f"reassign {at}")),
    lambda desk, at, name: desk.command(at, silence(at, at + 1000, rule=rule_of(name), silence_id=rule_of(name), command_id=f"sil {at}")),
    lambda desk, at, name: desk.command(at, unsilence(at, rule_of(name), f"unsil {at}")),
]


@dataclass(frozen=True)
class Step:
    """After `pause_s` one action, and a tick; `restarts`: another process takes over before it, and reads everything twice."""

    pause_s: int
    action: int
    name: str
    restarts: bool


steps = st.builds(
    Step,
    pause_s=st.sampled_from([0, 1, 7, 29, 30, 60, 299, 300, 1000, 15_000]),
    action=st.integers(0, len(ACTIONS) - 1),
    name=st.sampled_from(NAMES),
    restarts=st.booleans(),
)


def restarted(desk: Desk, at_s: float) -> None:
    desk.paging = Paging(POLICY, ROUTING)
    desk.paging.restore([*desk.events, *desk.events], [*desk.commands, *desk.commands], desk.alerts.values())
    assert desk.paging.catch_up(desk.alerts.values(), now_at(at_s)) == []


def played(script: list[Step], *, restarts: bool) -> Desk:
    desk, at_s = Desk(routing=ROUTING), 0.0
    for number, step in enumerate(script):
        at_s += step.pause_s + number / 1000  # no two commands have the same time, which is in their names
        if restarts and step.restarts:
            restarted(desk, at_s)
        ACTIONS[step.action](desk, at_s, step.name)
        desk.tick(at_s)
    for later_s in (31, 305, 900, 4000, 90_000):
        if restarts:
            restarted(desk, at_s + later_s)
        desk.tick(at_s + later_s)
    return desk


@given(st.lists(steps, min_size=5, max_size=40))
@settings(deadline=None, max_examples=60)
def test_a_paging_restored_at_any_point_goes_on_as_if_it_had_never_stopped(script: list[Step]) -> None:
    """The same events, in the same order; the same pages held back for the same reasons. Reading everything twice changes nothing."""
    expected, seen = played(script, restarts=False), played(script, restarts=True)
    assert seen.events == expected.events
    assert {decision.decision_id for decision in seen.decisions} == {decision.decision_id for decision in expected.decisions}


@given(st.lists(steps, min_size=5, max_size=40))
@settings(deadline=None, max_examples=30)
def test_nobody_is_paged_about_what_is_acknowledged_snoozed_or_over(script: list[Step]) -> None:
    """Whatever happened before; and no event is said twice, nor anybody paged twice for one step of a plan."""
    events = played(script, restarts=True).events
    assert len({event.escalation_id for event in events}) == len(events)
    quiet: dict[str, str] = {}
    for event in events:
        if event.event in {"acked", "resolved"}:
            quiet[event.incident_key] = event.event if quiet.get(event.incident_key) != "resolved" else "resolved"
        elif event.event == "unacked" and quiet.get(event.incident_key) == "acked":
            del quiet[event.incident_key]
        elif event.event in {"step_due", "repeated"}:
            assert event.incident_key not in quiet


@given(st.lists(st.tuples(st.sampled_from([0, 1, 5, 40]), st.sampled_from(NAMES)), min_size=1, max_size=12), st.data())
@settings(deadline=None, max_examples=30)
def test_a_kill_between_two_sends_loses_no_page(openings: list[tuple[int, str]], data: st.DataObject) -> None:
    """Whatever was decided and not sent is decided again: every receiver is paged for every step of every incident."""
    expected, seen = Desk(routing=ROUTING), Desk(routing=ROUTING)
    at_s = 0
    for pause_s, name in openings:
        at_s += pause_s
        for desk in (expected, seen):
            fires(desk, at_s, name)
            desk.tick(at_s)
    for _ in range(8):
        at_s += 200
        expected.tick(at_s)
        sent = len(seen.said)
        seen.tick(at_s)
        keep = data.draw(st.integers(sent, len(seen.said)))
        if keep < len(seen.said):
            del seen.said[keep:]
            seen.restart(at_s)
    for _ in range(40):
        at_s += 2500
        expected.tick(at_s)
        seen.tick(at_s)
    pages = [{(e.incident_key, e.step, e.target) for e in desk.events if e.event == "step_due"} for desk in (expected, seen)]
    assert pages[0] == pages[1]
