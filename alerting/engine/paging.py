"""Who is paged about which incidents, and when: escalation steps, groups, repeats, acknowledgements, snoozes, silences and inhibitions.

Everything it knows is in the topics: `restore`d from them it goes on as if it had never stopped (decision 0011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from alerting.engine.due_times import DueTimes
from alerting.engine.escalation import EscalationState, Telling, fold, obeying, opening, resolving, snoozed_plan
from alerting.engine.grouping import Group, Grouping
from alerting.engine.holds import Hold, Inhibitions, Silences
from alerting.engine.policy import EscalationPolicy
from alerting.engine.routing import Routing
from alerting.engine.telling import Configured, Look, listing
from schemas.alert import OPEN_STATES, Alert, Context
from schemas.command import Ack, Command, Reassign, Silence, Snooze, Unack, Unsilence
from schemas.decision import Decision
from schemas.escalation import Escalation, PlannedStep
from schemas.timestamps import to_ms

IncidentCommand = Ack | Unack | Reassign | Snooze


class Paging:
    """`restore`, then `catch_up` once, then the rest. What is returned is to be published in that order.

    If that fails, the object is to be thrown away and another one restored.
    """

    def __init__(self, policy: EscalationPolicy, routing: Routing) -> None:
        self._config = Configured(policy, routing.groups)
        self._grouping = Grouping(routing.groups)
        self._silences = Silences()
        self._inhibitions = Inhibitions(routing.inhibit, routing.groups.wait_ms)
        self._states: dict[str, EscalationState] = {}
        self._due = DueTimes()
        self._held: set[str] = set()  # groups that have something due and held back
        self._released = False  # what held them back may have changed
        self._suppressed: dict[str, set[str]] = {}
        self._not_obeyed: list[IncidentCommand] = []

    @property
    def states(self) -> Mapping[str, EscalationState]:
        """By incident_key: the open ones, and those that are over while others of their group are not."""
        return self._states

    def silences(self, now_ms: int) -> list[Silence]:
        """In force, or to come."""
        return self._silences.known(now_ms)

    def restore(self, escalations: Iterable[Escalation], commands: Iterable[Command], alerts: Iterable[Alert]) -> None:
        """Learn what the topics say, each in its order.

        alerts: the newest one of every incident whose escalation is not over, in whatever state.
        """
        newest = {alert.incident_key: alert for alert in alerts}
        seen: set[str] = set()
        obeyed: set[tuple[str, str]] = set()
        for event in escalations:
            if event.command_id is not None:
                obeyed.add((event.incident_key, event.command_id))
            if event.escalation_id in seen or not self._concerns(event, newest):
                continue
            seen.add(event.escalation_id)
            self._apply(event)
        for key, state in self._states.items():
            if not state.resolved and key in newest:
                self._states[key] = replace(state, alert=newest[key])
        for group_key in self._grouping.groups:
            self._due.at_latest(group_key, 0)
        self._restore_commands(commands, obeyed)

    def catch_up(self, alerts: Iterable[Alert], now_ms: int) -> list[Escalation]:
        """What an earlier alerter should still have said of these alerts, and the commands that nobody has looked at."""
        events = [event for alert in alerts for event in self.alert(alert, now_ms)]
        commands, self._not_obeyed = self._not_obeyed, []
        for command in commands:
            # Incidents that joined the group since are not what it was about.
            events += self._obey(command, now_ms, opened_by_ms=to_ms(command.at))
        return events

    def alert(self, alert: Alert, now_ms: int) -> list[Escalation]:
        """Follow a transition of an incident. Pages nobody: that is done by the next `tick`."""
        known = self._states.get(alert.incident_key)
        if alert.state not in OPEN_STATES:
            return [] if known is None or known.resolved else [self._resolve(known, alert, now_ms)]
        if known is not None:
            if not known.resolved:
                self._states[alert.incident_key] = replace(known, alert=alert)
            return []
        return [self._open(alert, now_ms)] if alert.state in {"firing", "no_data"} else []

    def attach(self, incident_key: str, context: Context) -> None:
        """What was found about the incident; later events carry it."""
        state = self._states.get(incident_key)
        if state is not None:
            self._states[incident_key] = replace(state, alert=state.alert.model_copy(update={"context": context}))

    def tick(self, now_ms: int) -> list[Escalation | Decision]:
        """Page whoever is due, and say what is held back. Costs next to nothing when nothing is due."""
        if self._released:
            self._released = False
            for key in self._held:
                self._due.at_latest(key, now_ms)
        groups = [self._grouping.groups[key] for key in self._due.take(now_ms) if key in self._grouping.groups]
        outputs: list[Escalation | Decision] = []
        for group in sorted(groups, key=lambda group: (group.opened_ms, group.key)):
            outputs += self._look(group, now_ms)
        return outputs

    def command(self, command: Command, now_ms: int) -> list[Escalation]:
        """Obey. A command that was obeyed before, or is about what is unknown, over or so already, does nothing.

        A command on the lead of a group is for all of its open incidents.
        """
        if isinstance(command, Silence | Unsilence):
            self._silences.obey(command)
            self._released = True
            return []
        return self._obey(command, now_ms, opened_by_ms=None)

    def _open(self, alert: Alert, now_ms: int) -> Escalation:
        plan = self._config.policy.plan(alert, now_ms, self._config.groups.wait_of(alert.severity))
        group_key = self._grouping.joined(alert, plan, self._is_daily(alert))
        self._due.at_latest(group_key, to_ms(plan[0].due_at))
        return self._apply(opening(alert, group_key, plan, now_ms))

    def _resolve(self, state: EscalationState, alert: Alert, now_ms: int) -> Escalation:
        group = self._grouping.groups[state.group_key]
        event = resolving(state, alert, now_ms, None)
        if group.told_ms and group.is_last(alert.incident_key):
            event = resolving(state, alert, now_ms, self._listing_after(event, group, now_ms))
        self._due.at_latest(group.key, now_ms + self._config.groups.wait_ms)
        return self._apply(event)

    def _obey(self, command: IncidentCommand, now_ms: int, opened_by_ms: int | None) -> list[Escalation]:
        """The event of a group's lead comes last: it tells everybody, and it marks the command as obeyed to the end."""
        group = self._grouping.groups.get(command.incident_key)
        lead = self._states.get(command.incident_key)
        members = [] if group is None else [self._states[key] for key in group.open if key != group.key]
        if opened_by_ms is not None:
            members = [state for state in members if state.opened_at_ms <= opened_by_ms]
        concerned = [state for state in members if _is_for(state, command, now_ms)]
        begun = bool(concerned) or any(command.command_id in state.commands for state in members)
        if lead is not None and (_is_for(lead, command, now_ms) or (begun and command.command_id not in lead.commands)):
            concerned.append(lead)
        last = len(concerned) - 1
        return [self._obeyed(state, command, now_ms, tells=index == last) for index, state in enumerate(concerned)]

    def _obeyed(self, state: EscalationState, command: IncidentCommand, now_ms: int, *, tells: bool) -> Escalation:
        group = self._grouping.groups[state.group_key]
        plan = self._plan_after(state, command, now_ms) if _is_for(state, command, now_ms) else state.plan
        event = obeying(state, command, now_ms, plan, None)
        if tells:
            event = obeying(state, command, now_ms, plan, self._listing_after(event, group, now_ms))
        self._due.at_latest(group.key, now_ms)
        return self._apply(event)

    def _plan_after(self, state: EscalationState, command: IncidentCommand, now_ms: int) -> tuple[PlannedStep, ...]:
        if isinstance(command, Snooze):
            return snoozed_plan(state, to_ms(command.until))
        if isinstance(command, Unack) and state.acked_at_ms is not None:
            severity, stopped_ms = state.alert.severity, state.acked_at_ms
            return tuple(self._config.policy.resumed(severity, step, stopped_ms, now_ms) for step in state.plan)
        return state.plan

    def _listing_after(self, event: Escalation, group: Group, now_ms: int) -> Telling:
        states = {key: self._states[key] for key in (*group.open, *group.over)}
        states[event.incident_key] = fold(self._states[event.incident_key], event)
        return listing(group, states, self._hold_at(now_ms))

    def _look(self, group: Group, now_ms: int) -> list[Escalation | Decision]:
        hold_of, suppressed = self._hold_at(now_ms), self._suppressed.setdefault(group.key, set())
        self._held.discard(group.key)
        outputs: list[Escalation | Decision] = []
        for output in list(Look(self._config, group, self._states, hold_of, now_ms).outputs()):
            if isinstance(output, Escalation):
                outputs.append(self._apply(output))
            elif output.decision_id not in suppressed:
                suppressed.add(output.decision_id)
                outputs.append(output)
        next_ms, held = Look(self._config, group, self._states, hold_of, now_ms).next_ms()
        if next_ms is not None:
            self._due.at_latest(group.key, max(next_ms, now_ms + 1))
        if held:
            self._held.add(group.key)
        return outputs

    def _hold_at(self, now_ms: int) -> Callable[[EscalationState], Hold | None]:
        return lambda state: self._silences.hold(state.alert, now_ms) or self._inhibitions.hold(state, now_ms)

    def _apply(self, event: Escalation) -> Escalation:
        """Everything that is known moves here, by an event, whether it is said now or was by an earlier alerter."""
        key = event.incident_key
        before = self._states.get(key)
        state = self._states[key] = fold(before, event)
        forgotten = self._grouping.fold(event, state, self._is_daily(state.alert))
        if before is None and not state.resolved:
            self._inhibitions.opened(state)
        if event.event == "resolved" and self._inhibitions.closed(state.alert, to_ms(event.at)):
            self._released = True
        for over in forgotten:
            del self._states[over]
        if state.group_key not in self._grouping.groups:
            self._due.forget(state.group_key)
            self._held.discard(state.group_key)
            self._suppressed.pop(state.group_key, None)
        return event

    def _is_daily(self, alert: Alert) -> bool:
        return self._config.policy.severities[alert.severity].digest is not None

    def _concerns(self, event: Escalation, newest: Mapping[str, Alert]) -> bool:
        """Not what an alerter that had not noticed wrote of an incident after its end, which is not known any more."""
        if event.incident_key in self._states or event.event == "opened":
            return True
        alert = newest.get(event.incident_key)
        return alert is not None and alert.state in OPEN_STATES

    def _restore_commands(self, commands: Iterable[Command], obeyed: set[tuple[str, str]]) -> None:
        """They are obeyed in the order of their topic: those up to the last one that left an event have all been looked at."""
        seen: set[str] = set()
        for command in commands:
            if isinstance(command, Silence | Unsilence):
                self._silences.obey(command)
            elif command.command_id not in seen:
                seen.add(command.command_id)
                self._not_obeyed.append(command)
                if (command.incident_key, command.command_id) in obeyed:
                    self._not_obeyed.clear()


def _is_for(state: EscalationState, command: IncidentCommand, now_ms: int) -> bool:
    """Whether the command changes anything."""
    if state.resolved or command.command_id in state.commands:
        return False
    match command:
        case Ack():
            return state.acked_at_ms is None
        case Unack():
            return state.acked_at_ms is not None
        case Reassign():
            return True
        case Snooze():
            return state.escalates and to_ms(command.until) > now_ms
