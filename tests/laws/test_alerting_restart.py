from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.engine import Engine, Output
from alerting.engine.history import History
from alerting.engine.rule import Rule
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.pane import Flush
from schemas.timestamps import from_ms
from tests.unit.alerting.stage import CONFIG, MENUS, ack
from tests.unit.alerting.traffic import now_at, sources

PARTITIONS = 3
STEP_S = 5
#: By then every group has been told of.
LATER_S = 60
LEDGER = {"verdict", "minute"}
#: As shipped; and one that must be true for some time, and is judged for each provider.
RULES = [rule for rule in CONFIG.rules if rule.name == MENUS] + [
    Rule.model_validate(
        {
            "name": "Patient",
            "condition": "full_success_rate < 90%",
            "by": ["provider"],
            "for": "25s",
            "window": "20s",
            "keep_firing_for": "20s",
            "channels": ["slack-alerts"],
            "severity": "high",
            "runbook": "alerting/config/runbooks/menu-generation.md",
        }
    )
]


def recorded(phases: list[tuple[int, int]], seed: int) -> list[tuple[int, Flush]]:
    """(second, flush) in the order of the topic: phases of (length in steps, failures of 100), with partitions that lag now and then."""
    random, all_sources, flushes = Random(seed), sources(PARTITIONS), []
    second = 0
    for steps, failures in phases:
        for _ in range(steps):
            second += STEP_S
            for source in all_sources:
                source.menus(second - 1, 100 - failures)
                if failures:
                    source.failures(second - 1, failures, provider=random.choice(["ollama", "claude"]))
                if random.random() < 0.8:
                    flushes.append((second, source.flush(caught_up_s=second)))
    return flushes


@dataclass
class Topics:
    """What has been published, and what a new alerter reads."""

    published: list[tuple[int, Output]] = field(default_factory=list)
    history: History = field(default_factory=History)

    def publish(self, second: int, outputs: list[Output]) -> None:
        for output in outputs:
            self.published.append((second, output))
            if isinstance(output, Alert):
                self.history.alerts.append((now_at(second), output))
            elif isinstance(output, Escalation):
                self.history.escalations.append(output)

    def alerter(self, observed: list[tuple[int, Flush]], second: int) -> Engine:
        engine = Engine(RULES, CONFIG.policy, CONFIG.routing, history=self.history, partitions=PARTITIONS)
        for flushed_s, flush in observed:
            engine.observe(flush, now_at(flushed_s))
        self.publish(second, engine.catch_up(now_at(second)))
        return engine

    def transitions(self) -> list[tuple[str, str, object]]:
        """Distinct transitions in the order in which each was first published."""
        seen = {a.transition_id: (a.incident_key, a.state, a.judged_to) for _, a in self.published[::-1] if isinstance(a, Alert)}
        return [(key, state, judged_to) for key, state, judged_to in reversed(seen.values())]

    def escalations(self, rule: str | None = None) -> list[Escalation]:
        return [event for _, event in self.published if isinstance(event, Escalation) and rule in (None, event.rule)]

    def ledger(self) -> dict[tuple[str, ...], list[str]]:
        """Distinct rows of each rule, of its series one by one, in the order of first publication: which series comes first is open."""
        rows: dict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
        for _, row in self.published:
            if isinstance(row, Decision) and row.kind in LEDGER:
                of_series = row.labels.values() if row.kind == "verdict" else ()
                rows[row.rule, row.kind, *of_series][row.decision_id] = None
        return {place: list(ids) for place, ids in rows.items()}


def uninterrupted(flushes: list[tuple[int, Flush]]) -> Topics:
    topics = Topics()
    engine = topics.alerter([], 0)
    for second, flush in flushes:
        topics.publish(second, engine.on_flush(flush, now_at(second), now_at(second)) + engine.on_tick(now_at(second)))
    topics.publish(flushes[-1][0] + LATER_S, engine.on_tick(now_at(flushes[-1][0] + LATER_S)))
    return topics


def with_kills(flushes: list[tuple[int, Flush]], kill_one_in: int, random: Random) -> Topics:
    """Killed now and then between two sends, and restarted at a commit that may be far behind."""
    topics = Topics()
    engine, position, now_s, kills = topics.alerter([], 0), 0, 0, 0
    while position < len(flushes):
        second, flush = flushes[position]
        now_s = max(now_s, second)
        outputs = engine.on_flush(flush, now_at(second), now_at(now_s)) + engine.on_tick(now_at(now_s))
        if kills == 20 or random.randrange(kill_one_in if not outputs else 2):
            topics.publish(now_s, outputs)
            position += 1
            continue
        topics.publish(now_s, outputs[: random.randint(0, len(outputs))])
        kills, now_s, position = kills + 1, now_s + 1, max(0, position - random.choice([0, 1, 3, 40]))
        engine = topics.alerter(flushes[:position], now_s)
    topics.publish(now_s + LATER_S, engine.on_tick(now_at(now_s + LATER_S)))
    return topics


phases = st.lists(st.tuples(st.integers(2, 24), st.sampled_from([0, 0, 4, 6, 50, 100])), min_size=1, max_size=6)


@given(phases, st.integers(0, 1000), st.sampled_from([3, 10, 40]))
@settings(deadline=None, max_examples=12)
def test_kills_at_any_point_leave_the_same_transitions(traffic: list[tuple[int, int]], seed: int, kill_one_in: int) -> None:
    """Killed between any two sends and restarted behind, the alerters together publish the incidents of one that was never killed.

    And the same ledger. Whoever is paged at once is the same, too; with a wait it depends on when that is.
    """
    flushes = recorded([(6, 0), *traffic], seed)
    expected, seen = uninterrupted(flushes), with_kills(flushes, kill_one_in, Random(seed))
    assert seen.transitions() == expected.transitions()
    assert seen.ledger() == expected.ledger()
    for event in ("opened", "resolved"):
        ids = [{e.escalation_id for e in t.escalations() if e.event == event} for t in (expected, seen)]
        assert ids[0] == ids[1]
    step_0 = [{(e.incident_key, e.target) for e in t.escalations(MENUS) if e.step == 0} for t in (expected, seen)]
    assert step_0[0] == step_0[1]


@given(phases, st.integers(0, 10))
@settings(deadline=None, max_examples=12)
def test_an_incident_opens_and_ends_in_turns_and_never_twice(traffic: list[tuple[int, int]], seed: int) -> None:
    """Of a rule and series, firing and resolved alternate, each pair has one key, no key comes back."""
    alerts = [alert for _, alert in uninterrupted(recorded([(6, 0), *traffic], seed)).published if isinstance(alert, Alert)]
    for rule, provider in {(alert.rule, alert.labels.get("provider")) for alert in alerts}:
        of_series = [alert for alert in alerts if (alert.rule, alert.labels.get("provider")) == (rule, provider)]
        assert [alert.state for alert in of_series] == (["firing", "resolved"] * len(of_series))[: len(of_series)]
        keys = [alert.incident_key for alert in of_series if alert.state == "firing"]
        assert len(set(keys)) == len(keys)
        assert [alert.incident_key for alert in of_series if alert.state == "resolved"] == keys[: len(of_series) // 2]


@given(st.integers(0, 400), st.lists(st.integers(1, 400), max_size=8))
@settings(deadline=None, max_examples=12)
def test_no_step_follows_an_acknowledgement(ack_at_s: int, restarts: list[int]) -> None:
    """Whenever it comes, and whenever the alerter is restarted, nobody is paged after it; who was due before it has been."""
    flushes = recorded([(6, 0), (6, 100)], 1)
    topics = uninterrupted(flushes)
    (incident,) = (alert for _, alert in topics.published if isinstance(alert, Alert) and alert.rule == MENUS)
    start_s = flushes[-1][0]
    engine = topics.alerter(list(flushes), start_s)
    for second in range(start_s, start_s + 500):
        now_ms = now_at(second)
        if second == start_s + ack_at_s:
            command = ack(incident.incident_key, second)
            topics.history.commands.append(command)
            topics.publish(second, engine.on_command(command, now_ms))
        if second - start_s in restarts:
            engine = topics.alerter(list(flushes), second)
        topics.publish(second, engine.on_tick(now_ms))
    escalations = topics.escalations(MENUS)
    acked = [event.event for event in escalations].index("acked")
    assert [event.event for event in escalations[acked + 1 :]] == []
    opened = escalations[0]
    due = {(step.step, target) for step in opened.plan for target in step.targets if step.due_at < from_ms(now_at(start_s + ack_at_s))}
    assert {(event.step, event.target) for event in escalations if event.event == "step_due"} == due
