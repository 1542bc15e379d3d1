"""One incident's escalation. Its state is the fold of its events on `escalations.v1`, and nothing else.

Functions that decide return events; the state moves only by `fold`ing them, so a restart that reads the topic is where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from alerting.engine.identity import digest
from schemas.alert import Alert
from schemas.command import Ack, Reassign, Snooze, Unack
from schemas.escalation import Escalation, EscalationEvent, Member, PlannedStep
from schemas.timestamps import from_ms, isoformat_ms, to_ms

ALERTER: Final = "alerter"


@dataclass(frozen=True, slots=True)
class EscalationState:
    """plan: steps to come; paged: who has been, in order, and hears of the rest; responders: those of them whom a repeat pages again.

    group_key: the group it is told of with; commands: those obeyed already. Of an incident that is over only `alert`, `paged`,
    `group_key` and who acknowledged it have a meaning.
    """

    alert: Alert
    group_key: str
    opened_at_ms: int
    plan: tuple[PlannedStep, ...] = ()
    paged: tuple[str, ...] = ()
    responders: tuple[str, ...] = ()
    acked_at_ms: int | None = None
    acked_by: str = ""
    snoozed_until_ms: int | None = None
    resolved: bool = False
    commands: frozenset[str] = frozenset()

    @property
    def escalates(self) -> bool:
        """Nobody has acknowledged it, and it is not over."""
        return self.acked_at_ms is None and not self.resolved


def fold(state: EscalationState | None, event: Escalation) -> EscalationState:
    """The state after `event`; an event that is repeated changes nothing more."""
    if state is None:
        state = EscalationState(event.alert, event.group_key or event.incident_key, to_ms(event.at))
        if event.event == "opened":
            return replace(state, plan=event.plan)
    if event.command_id is not None:
        return _commanded(state, event)
    match event.event:
        case "step_due":
            return _stepped(state, event)
        case "resolved":
            return replace(state, alert=event.alert, plan=(), resolved=True)
        case _:
            return state


def _commanded(state: EscalationState, event: Escalation) -> EscalationState:
    """A command for a whole group may find its lead acknowledged, or over, already: then it is obeyed, and nothing else."""
    if event.command_id is None or event.command_id in state.commands:
        return state
    obeyed = replace(state, commands=state.commands | {event.command_id})
    match event.event:
        case "acked" if state.escalates:
            return replace(obeyed, acked_at_ms=to_ms(event.at), acked_by=event.actor, snoozed_until_ms=None)
        case "unacked" if not state.resolved and state.acked_at_ms is not None:
            return replace(obeyed, plan=event.plan, acked_at_ms=None, acked_by="")
        case "snoozed" if state.escalates and event.until is not None:
            return replace(obeyed, plan=event.plan, snoozed_until_ms=to_ms(event.until))
        case "reassigned" if not state.resolved and event.target is not None:
            paged = (*state.paged, *(target for target in (event.target,) if target not in state.paged))
            return replace(obeyed, plan=(), paged=paged, responders=(event.target,), snoozed_until_ms=None)
        case _:
            return obeyed


def _stepped(state: EscalationState, event: Escalation) -> EscalationState:
    """The step is known by its time too: a plan that was made later may have one of the same number."""
    target = event.target or ""
    if state.resolved:
        return state
    left = tuple(_without(step, target) if (step.step, step.due_at) == (event.step, event.due_at) else step for step in state.plan)
    if left == state.plan and target in state.paged:
        return state
    return replace(
        state,
        plan=tuple(step for step in left if step.targets),
        paged=state.paged if target in state.paged else (*state.paged, target),
        responders=state.responders if target in state.responders else (*state.responders, target),
    )


def _without(step: PlannedStep, target: str) -> PlannedStep:
    return step.model_copy(update={"targets": tuple(other for other in step.targets if other != target)})


@dataclass(frozen=True, slots=True)
class Telling:
    """What the message about a group lists: its members, worst first, and how many there are."""

    members: tuple[Member, ...]
    members_total: int


def opening(alert: Alert, group_key: str, plan: tuple[PlannedStep, ...], now_ms: int) -> Escalation:
    """The incident fires: its whole plan."""
    return _event(alert, group_key, "opened", now_ms, reason="the incident fires", plan=plan)


def stepping(state: EscalationState, step: PlannedStep, target: str, now_ms: int, telling: Telling | None) -> Escalation:
    """`target` is paged; with `telling` by the message of this event."""
    if step.step > 0:
        reason = f"nobody has acknowledged: step {step.step}"
    else:
        reason = "the snooze is over, and nobody has acknowledged" if target in state.paged else "the incident fires"
    return _event(
        state.alert, state.group_key, "step_due", now_ms, reason=reason, target=target, step=step.step, due_at_ms=to_ms(step.due_at),
        telling=telling,
    )  # fmt: skip


def repeating(state: EscalationState, target: str, due_ms: int, now_ms: int, telling: Telling) -> Escalation:
    """`target` is paged again: nobody has acknowledged for so long."""
    reason = "nobody has acknowledged: told again"
    return _event(state.alert, state.group_key, "repeated", now_ms, reason=reason, target=target, due_at_ms=due_ms, telling=telling)


def updating(state: EscalationState, due_ms: int, now_ms: int, telling: Telling) -> Escalation:
    """Some incidents of the group are over, others are not."""
    return _event(state.alert, state.group_key, "updated", now_ms, reason="incidents of the group ended", due_at_ms=due_ms, telling=telling)


def resolving(state: EscalationState, alert: Alert, now_ms: int, telling: Telling | None) -> Escalation:
    """The incident is over; with `telling` the group is, and everybody who was paged is told."""
    return _event(alert, state.group_key, "resolved", now_ms, reason="the incident is over", telling=telling)


def obeying(
    state: EscalationState, command: Ack | Unack | Reassign | Snooze, now_ms: int, plan: tuple[PlannedStep, ...], telling: Telling | None
) -> Escalation:
    """The command is obeyed; `plan` is what is to come from now on. With `telling` everybody who was paged is told."""
    target, until_ms = None, None
    event: EscalationEvent
    match command:
        case Ack():
            event, reason, plan = "acked", f"acknowledged by {command.by}", ()
        case Unack():
            event, reason = "unacked", f"acknowledgement taken back by {command.by}"
        case Reassign():
            event, reason, plan = "reassigned", f"reassigned to {command.target} by {command.by}", ()
            target = command.target
        case Snooze():
            event, reason = "snoozed", f"snoozed until {isoformat_ms(command.until)} by {command.by}"
            until_ms = to_ms(command.until)
    return _event(
        state.alert, state.group_key, event, now_ms, reason=reason, target=target, plan=plan, actor=command.by,
        command_id=command.command_id, until_ms=until_ms, telling=telling,
    )  # fmt: skip


def snoozed_plan(state: EscalationState, until_ms: int) -> tuple[PlannedStep, ...]:
    """Nothing comes before `until_ms`; then whoever has been paged is paged again."""
    until = from_ms(until_ms)
    at_once = [target for step in state.plan if step.step == 0 for target in step.targets]
    again = tuple(dict.fromkeys((*state.responders, *at_once)))
    later = [step.model_copy(update={"due_at": max(step.due_at, until)}) for step in state.plan if step.step > 0]
    return (*((PlannedStep(step=0, targets=again, due_at=until),) if again else ()), *later)


def _event(
    alert: Alert,
    group_key: str,
    event: EscalationEvent,
    now_ms: int,
    *,
    reason: str,
    target: str | None = None,
    step: int | None = None,
    due_at_ms: int | None = None,
    plan: tuple[PlannedStep, ...] = (),
    actor: str = ALERTER,
    command_id: str | None = None,
    until_ms: int | None = None,
    telling: Telling | None = None,
) -> Escalation:
    return Escalation(
        escalation_id=digest(alert.incident_key, event, step, target, due_at_ms, command_id),
        incident_key=alert.incident_key,
        rule=alert.rule,
        severity=alert.severity,
        event=event,
        step=step,
        target=target,
        due_at=None if due_at_ms is None else from_ms(due_at_ms),
        at=from_ms(now_ms),
        actor=actor,
        command_id=command_id,
        reason=reason,
        plan=plan,
        alert=alert,
        group_key=group_key,
        notify=telling is not None,
        members=telling.members if telling is not None else (),
        members_total=telling.members_total if telling is not None else 0,
        until=None if until_ms is None else from_ms(until_ms),
    )
