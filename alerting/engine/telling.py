"""One look at a group: who is to be paged now, what is held back, and when to look again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest

from alerting.engine.escalation import EscalationState, Telling, repeating, stepping, updating
from alerting.engine.grouping import Group
from alerting.engine.holds import Hold, rank, suppression
from alerting.engine.policy import EscalationPolicy
from alerting.engine.routing import Groups
from schemas.alert import AlertState, Severity
from schemas.decision import Decision
from schemas.escalation import MEMBERS_LISTED, Escalation, Member, PlannedStep
from schemas.timestamps import to_ms

HoldOf = Callable[[EscalationState], Hold | None]
States = Mapping[str, EscalationState]


@dataclass(frozen=True, slots=True)
class Configured:
    """What the files say."""

    policy: EscalationPolicy
    groups: Groups


class Look:
    """At `group` at `now_ms`. `hold_of` is asked once for each incident that something is due for."""

    def __init__(self, config: Configured, group: Group, states: States, hold_of: HoldOf, now_ms: int) -> None:
        self._config, self._group, self._states, self._now_ms = config, group, states, now_ms
        self._ask, self._holds = hold_of, dict[str, Hold | None]()
        severity: Severity = next((states[key].alert.severity for key in group.open), "low")
        self._severity = severity
        self._interval_ms = config.groups.interval_of(severity)

    def outputs(self) -> Iterator[Escalation | Decision]:
        """Every page that is due, one message per receiver, and a decision for each that is held back."""
        due, held = self._due()
        yield from held
        telling = listing(self._group, self._states, self._hold) if due else None
        for target, numbers in due.items():
            yield from self._step(target, numbers, telling)
        yield from self._repeats(frozenset(due))
        changed_ms = self._changed_due_ms()
        if changed_ms is not None and changed_ms <= self._now_ms:
            anchor = next(self._states[key] for key in self._group.open)
            yield updating(anchor, changed_ms, self._now_ms, listing(self._group, self._states, self._hold))

    def next_ms(self) -> tuple[int | None, bool]:
        """After what is due has been done: when to look again, and whether something is held back."""
        changed_ms, held = self._changed_due_ms(), False
        times = [] if changed_ms is None else [changed_ms]
        for state in self._escalating():
            for at_ms in (max(due_ms, state.snoozed_until_ms or 0) for due_ms in self._times(state)):
                if at_ms > self._now_ms:
                    times.append(at_ms)
                elif (hold := self._hold(state)) is not None:
                    held = True
                    times += [] if hold.until_ms is None else [hold.until_ms]
                else:
                    times.append(self._now_ms)
        return min(times, default=None), held

    def _times(self, state: EscalationState) -> Iterator[int]:
        for step in state.plan:
            for target in step.targets:
                yield self._due_ms(state, step, target)
        for target in state.responders if self._may_repeat() else ():
            if (repeat_ms := self._repeat_ms(target)) is not None:
                yield repeat_ms

    def _escalating(self) -> Iterator[EscalationState]:
        return (state for key in self._group.open if (state := self._states[key]).escalates)

    def _awake(self) -> Iterator[EscalationState]:
        return (s for s in self._escalating() if s.snoozed_until_ms is None or s.snoozed_until_ms <= self._now_ms)

    def _hold(self, state: EscalationState) -> Hold | None:
        key = state.alert.incident_key
        if key not in self._holds:
            self._holds[key] = self._ask(state)
        return self._holds[key]

    def _due_ms(self, state: EscalationState, step: PlannedStep, target: str) -> int:
        """A receiver that was told of the group a moment ago is told of its newer incidents after the interval."""
        due_ms, told_ms = to_ms(step.due_at), self._group.told_ms.get(target)
        if told_ms is None or target in state.paged:
            return due_ms
        return max(due_ms, told_ms + self._interval_ms)

    def _due(self) -> tuple[dict[str, set[int]], list[Decision]]:
        """By receiver, the numbers of the steps that are due; and what is due, but held back."""
        due: dict[str, set[int]] = {}
        held: list[Decision] = []
        for state in self._awake():
            for step in state.plan:
                targets = [target for target in step.targets if self._due_ms(state, step, target) <= self._now_ms]
                hold = self._hold(state) if targets else None
                if hold is not None:
                    held.append(suppression(state.alert, f"step {step.step}", to_ms(step.due_at), hold, self._now_ms))
                    continue
                for target in targets:
                    due.setdefault(target, set()).add(step.step)
        return due, held

    def _step(self, target: str, numbers: set[int], telling: Telling | None) -> Iterator[Escalation]:
        """The incidents whose same step comes later are told of along with those that are due, and not again."""
        told = [
            (state, step)
            for state in self._awake()
            for step in state.plan
            if step.step in numbers and target in step.targets and self._hold(state) is None
        ]
        for index, (state, step) in enumerate(told):
            yield stepping(state, step, target, self._now_ms, telling if index == 0 else None)

    def _repeats(self, told: frozenset[str]) -> Iterator[Escalation | Decision]:
        responsible: dict[str, list[EscalationState]] = {}
        for state in self._awake() if self._may_repeat() else ():
            for target in state.responders:
                responsible.setdefault(target, []).append(state)
        for target, states in responsible.items():
            due_ms = self._repeat_ms(target)
            if target in told or due_ms is None or due_ms > self._now_ms:
                continue
            free = [state for state in states if self._hold(state) is None]
            if free:
                yield repeating(free[0], target, due_ms, self._now_ms, listing(self._group, self._states, self._hold))
                continue
            for state in states:
                if (hold := self._hold(state)) is not None:
                    yield suppression(state.alert, f"repeat to {target}", due_ms, hold, self._now_ms)

    def _may_repeat(self) -> bool:
        return self._config.policy.severities[self._severity].digest is None

    def _repeat_ms(self, target: str) -> int | None:
        told_ms = self._group.told_ms.get(target)
        if told_ms is None:
            return None
        return self._config.policy.later(self._severity, max(told_ms, self._group.resumed_ms), self._config.groups.repeat_ms)

    def _changed_due_ms(self) -> int | None:
        if self._group.changed_ms is None or not self._group.told_ms:
            return None
        return self._group.changed_ms + self._config.groups.wait_ms


def listing(group: Group, states: States, hold_of: HoldOf) -> Telling:
    """The members that somebody has been told of, or is being told of: open ones first, then the worst, then the oldest."""
    members = [states[key] for key in group.open if states[key].paged or hold_of(states[key]) is None]
    members += [states[key] for key in group.over if states[key].paged]
    order = nsmallest(MEMBERS_LISTED, enumerate(members), key=lambda pair: (pair[1].resolved, rank(pair[1].alert.severity), pair[0]))
    return Telling(tuple(_member(state) for _, state in order), len(members))


def _member(state: EscalationState) -> Member:
    alert = state.alert
    return Member(
        incident_key=alert.incident_key,
        rule=alert.rule,
        severity=alert.severity,
        state=_state(state),
        labels=alert.labels,
        summary=alert.summary,
    )


def _state(state: EscalationState) -> AlertState:
    """The engine's own alert about an acknowledgement comes after the event that this member is listed in."""
    if state.resolved:
        return state.alert.state
    if state.acked_at_ms is not None:
        return "acknowledged"
    return "firing" if state.alert.state == "acknowledged" else state.alert.state
