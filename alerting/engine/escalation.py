"""Who is told about an incident, and when. The state of an escalation is the fold of its events on `escalations.v1`, and nothing else.

Functions that decide return events; the state moves only by `fold`ing them, so a restart that reads the topic is where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from alerting.engine.identity import digest
from alerting.engine.rule import DurationMs, RuleError
from schemas.alert import Alert, Severity
from schemas.command import Ack, Reassign, Unack
from schemas.escalation import Escalation, EscalationEvent, PlannedStep
from schemas.timestamps import from_ms, to_ms

ALERTER: Final = "alerter"


class ChainStep(BaseModel):
    """Page `targets` when nobody has acknowledged `after` the incident opened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_ms: Annotated[DurationMs, Field(alias="after")]
    targets: Annotated[tuple[str, ...], Field(min_length=1)]


#: By severity, the steps that follow step 0, which is the rule's own channels, at once.
Chains = Mapping[Severity, tuple[ChainStep, ...]]
_CHAINS: Final[TypeAdapter[dict[Severity, tuple[ChainStep, ...]]]] = TypeAdapter(dict[Severity, tuple[ChainStep, ...]])


def parse_chains(text: str) -> Chains:
    """Read escalation.yaml: severity → list of {after, targets}. Raises RuleError."""
    try:
        return _CHAINS.validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise RuleError(f"not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise RuleError(f"{', '.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}") from None


@dataclass(frozen=True, slots=True)
class EscalationState:
    """One incident's escalation. `plan`: steps to come; `paged`: who has been, in order; `commands`: those obeyed already."""

    alert: Alert
    plan: tuple[PlannedStep, ...] = ()
    paged: tuple[str, ...] = ()
    acked_at_ms: int | None = None
    acked_by: str = ""
    resolved: bool = False
    commands: frozenset[str] = frozenset()


def fold(state: EscalationState | None, event: Escalation) -> EscalationState:
    """The state after `event`; an event that is repeated changes nothing more."""
    state = state or EscalationState(event.alert)
    if event.command_id is not None:
        state = replace(state, commands=state.commands | {event.command_id})
    match event.event:
        case "opened":
            return replace(state, plan=event.plan)
        case "step_due" | "reassigned":
            return _paged(state, event)
        case "acked":
            return replace(state, acked_at_ms=to_ms(event.at), acked_by=event.actor)
        case "unacked":
            return replace(state, plan=event.plan, acked_at_ms=None, acked_by="")
        case "resolved":
            return replace(state, alert=event.alert, plan=(), resolved=True)


def opening(alert: Alert, chains: Chains, now_ms: int) -> list[Escalation]:
    """The incident fires: its whole plan, step 0 due now."""
    later = [
        PlannedStep(step=number, targets=step.targets, due_at=from_ms(now_ms + step.after_ms))
        for number, step in enumerate(chains.get(alert.severity, ()), start=1)
    ]
    plan = (PlannedStep(step=0, targets=alert.channels, due_at=from_ms(now_ms)), *later)
    return [_event(alert, "opened", now_ms, reason="the incident fires", plan=plan)]


def due(state: EscalationState, now_ms: int) -> list[Escalation]:
    """One event per target of every step whose time has come, unless the incident is acknowledged or over."""
    if state.acked_at_ms is not None or state.resolved:
        return []
    return [
        _event(state.alert, "step_due", now_ms, reason=_step_reason(step), target=target, step=step)
        for step in state.plan
        if to_ms(step.due_at) <= now_ms
        for target in step.targets
    ]


def acknowledging(state: EscalationState, command: Ack, now_ms: int) -> list[Escalation]:
    """Stop the steps to come; everybody who was paged is told."""
    if state.resolved or state.acked_at_ms is not None or command.command_id in state.commands:
        return []
    return [_commanded(state, "acked", command, now_ms, f"acknowledged by {command.by}")]


def unacknowledging(state: EscalationState, command: Unack, now_ms: int) -> list[Escalation]:
    """Go on with the time every step had left when the incident was acknowledged."""
    if state.resolved or state.acked_at_ms is None or command.command_id in state.commands:
        return []
    shift_ms = now_ms - state.acked_at_ms
    plan = tuple(step.model_copy(update={"due_at": from_ms(to_ms(step.due_at) + shift_ms)}) for step in state.plan)
    return [_commanded(state, "unacked", command, now_ms, f"acknowledgement taken back by {command.by}", plan=plan)]


def reassigning(state: EscalationState, command: Reassign, now_ms: int) -> list[Escalation]:
    """Page the target of the command in place of the steps to come."""
    if state.resolved or command.command_id in state.commands:
        return []
    return [_commanded(state, "reassigned", command, now_ms, f"reassigned to {command.target} by {command.by}", target=command.target)]


def resolving(state: EscalationState, alert: Alert, now_ms: int) -> list[Escalation]:
    """The incident is over: everybody who was paged is told."""
    if state.resolved:
        return []
    return [_event(alert, "resolved", now_ms, reason="the incident is over")]


def _paged(state: EscalationState, event: Escalation) -> EscalationState:
    target = event.target or ""
    paged = state.paged if target in state.paged else (*state.paged, target)
    if event.event == "reassigned":
        return replace(state, plan=(), paged=paged)
    return replace(state, plan=_without(state.plan, event.step, target), paged=paged)


def _without(plan: tuple[PlannedStep, ...], number: int | None, target: str) -> tuple[PlannedStep, ...]:
    left = (
        step.model_copy(update={"targets": tuple(t for t in step.targets if t != target)}) if step.step == number else step for step in plan
    )
    return tuple(step for step in left if step.targets)


def _step_reason(step: PlannedStep) -> str:
    return "the incident fires" if step.step == 0 else f"nobody has acknowledged: step {step.step}"


def _commanded(
    state: EscalationState,
    event: EscalationEvent,
    command: Ack | Unack | Reassign,
    now_ms: int,
    reason: str,
    *,
    target: str | None = None,
    plan: tuple[PlannedStep, ...] = (),
) -> Escalation:
    return _event(state.alert, event, now_ms, reason=reason, target=target, plan=plan, actor=command.by, command_id=command.command_id)


def _event(
    alert: Alert,
    event: EscalationEvent,
    now_ms: int,
    *,
    reason: str,
    target: str | None = None,
    step: PlannedStep | None = None,
    plan: tuple[PlannedStep, ...] = (),
    actor: str = ALERTER,
    command_id: str | None = None,
) -> Escalation:
    number = None if step is None else step.step
    return Escalation(
        escalation_id=digest(alert.incident_key, event, number, target, command_id),
        incident_key=alert.incident_key,
        rule=alert.rule,
        severity=alert.severity,
        event=event,
        step=number,
        target=target,
        due_at=None if step is None else step.due_at,
        at=from_ms(now_ms),
        actor=actor,
        command_id=command_id,
        reason=reason,
        plan=plan,
        alert=alert,
    )
