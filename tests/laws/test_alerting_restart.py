from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.engine import Engine, History, Output
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.pane import Flush
from schemas.timestamps import from_ms
from tests.unit.alerting.stage import CONFIG, MENUS, ack
from tests.unit.alerting.traffic import now_at, sources

PARTITIONS = 3
STEP_S = 5
RULES = [rule for rule in CONFIG.rules if rule.name == MENUS]


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
                    source.failures(second - 1, failures)
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
            else:
                assert isinstance(output, Decision)
                self.history.decisions.append(output)

    def alerter(self, observed: list[tuple[int, Flush]], second: int) -> Engine:
        engine = Engine(RULES, CONFIG.chains, history=self.history, partitions=PARTITIONS)
        for _, flush in observed:
            engine.observe(flush)
        self.publish(second, engine.catch_up(now_at(second)))
        return engine

    def transitions(self) -> list[tuple[str, str, object]]:
        """Distinct transitions in the order in which each was first published."""
        seen = {a.transition_id: (a.incident_key, a.state, a.judged_to) for _, a in self.published[::-1] if isinstance(a, Alert)}
        return [(key, state, judged_to) for key, state, judged_to in reversed(seen.values())]


def uninterrupted(flushes: list[tuple[int, Flush]]) -> Topics:
    topics = Topics()
    engine = topics.alerter([], 0)
    for second, flush in flushes:
        topics.publish(second, engine.on_flush(flush, now_at(second)) + engine.on_tick(now_at(second)))
    return topics


def with_kills(flushes: list[tuple[int, Flush]], kill_one_in: int, random: Random) -> Topics:
    """Killed now and then between two sends, and restarted at a commit that may be far behind."""
    topics = Topics()
    engine, position, now_s, kills = topics.alerter([], 0), 0, 0, 0
    while position < len(flushes):
        second, flush = flushes[position]
        now_s = max(now_s, second)
        outputs = engine.on_flush(flush, now_at(now_s)) + engine.on_tick(now_at(now_s))
        if kills == 60 or random.randrange(kill_one_in if not outputs else 2):
            topics.publish(now_s, outputs)
            position += 1
            continue
        topics.publish(now_s, outputs[: random.randint(0, len(outputs))])
        kills, now_s, position = kills + 1, now_s + 1, max(0, position - random.choice([0, 1, 3, 40]))
        engine = topics.alerter(flushes[:position], now_s)
    return topics


phases = st.lists(st.tuples(st.integers(2, 24), st.sampled_from([0, 0, 4, 6, 50, 100])), min_size=1, max_size=6)


@given(phases, st.integers(0, 1000), st.sampled_from([3, 10, 40]))
@settings(deadline=None, max_examples=30)
def test_kills_at_any_point_leave_the_same_transitions(traffic: list[tuple[int, int]], seed: int, kill_one_in: int) -> None:
    """Killed between any two sends and restarted behind, the alerters together publish the incidents of one that was never killed."""
    flushes = recorded([(6, 0), *traffic], seed)
    expected, seen = uninterrupted(flushes), with_kills(flushes, kill_one_in, Random(seed))
    assert seen.transitions() == expected.transitions()
    for event in ("opened", "resolved"):
        ids = [{e.escalation_id for _, e in t.published if isinstance(e, Escalation) and e.event == event} for t in (expected, seen)]
        assert ids[0] == ids[1]
    step_0 = [{(e.incident_key, e.target) for _, e in t.published if isinstance(e, Escalation) and e.step == 0} for t in (expected, seen)]
    assert step_0[0] == step_0[1]


@given(phases, st.integers(0, 10))
@settings(deadline=None, max_examples=25)
def test_an_incident_opens_and_ends_in_turns_and_never_twice(traffic: list[tuple[int, int]], seed: int) -> None:
    """Firing and resolved alternate, each pair has one key, no key comes back."""
    transitions = uninterrupted(recorded([(6, 0), *traffic], seed)).transitions()
    assert [state for _, state, _ in transitions] == (["firing", "resolved"] * len(transitions))[: len(transitions)]
    keys = [key for key, state, _ in transitions if state == "firing"]
    assert len(set(keys)) == len(keys)
    assert [key for key, state, _ in transitions if state == "resolved"] == keys[: len(transitions) // 2]


@given(st.integers(0, 400), st.lists(st.integers(1, 400), max_size=8))
@settings(deadline=None, max_examples=30)
def test_no_step_follows_an_acknowledgement(ack_at_s: int, restarts: list[int]) -> None:
    """Whenever it comes, and whenever the alerter is restarted, nobody is paged after it; who was due before it has been."""
    flushes = recorded([(6, 0), (6, 100)], 1)
    topics = uninterrupted(flushes)
    (incident,) = (alert for _, alert in topics.published if isinstance(alert, Alert))
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
    escalations = [event for _, event in topics.published if isinstance(event, Escalation)]
    acked = [event.event for event in escalations].index("acked")
    assert [event.event for event in escalations[acked + 1 :]] == []
    opened = escalations[0]
    due = {(step.step, target) for step in opened.plan for target in step.targets if step.due_at < from_ms(now_at(start_s + ack_at_s))}
    assert {(event.step, event.target) for event in escalations if event.event == "step_due"} == due
