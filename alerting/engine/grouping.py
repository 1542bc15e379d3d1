"""Which incidents are told of together. Like an escalation, a group is the fold of its members' events, and nothing else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from alerting.engine.escalation import EscalationState
from alerting.engine.routing import Groups, value_of
from schemas.alert import Alert
from schemas.escalation import MEMBERS_LISTED, Escalation, PlannedStep
from schemas.timestamps import isoformat_ms, to_ms

#: What the incidents of a group have in common.
Identity = tuple[str, ...]


@dataclass(slots=True)
class Group:
    """`key` is that of its lead, the incident that was there first; `open`, `over`: the others and it, in the order they came and went.

    told_ms: when each receiver was last paged; resumed_ms: when an acknowledgement was last taken back; changed_ms: the first end of a
    member since everybody who was paged was told of the group.
    """

    key: str
    identity: Identity
    opened_ms: int
    open: dict[str, None] = field(default_factory=dict)
    over: deque[str] = field(default_factory=deque)
    told_ms: dict[str, int] = field(default_factory=dict)
    resumed_ms: int = 0
    changed_ms: int | None = None

    def is_last(self, incident_key: str) -> bool:
        """Whether the group ends with this incident."""
        return all(key == incident_key for key in self.open)


class Grouping:
    """The groups that have an open incident."""

    def __init__(self, groups: Groups) -> None:
        self._config = groups
        self.groups: dict[str, Group] = {}
        self._by_identity: dict[Identity, Group] = {}

    def joined(self, alert: Alert, plan: tuple[PlannedStep, ...], daily: bool) -> str:
        """The key of the group that an incident that opens now belongs to: its own when there is none yet."""
        group = self._by_identity.get(self._identity(alert, plan, daily))
        return alert.incident_key if group is None else group.key

    def fold(self, event: Escalation, state: EscalationState, daily: bool) -> list[str]:
        """Follow an event, `state` being its incident's afterwards; returns the incidents that need not be known any more."""
        group = self.groups.get(state.group_key)
        if group is None:
            group = self._begin(event, state, daily)
        self._note(group, event)
        if state.resolved:
            return self._ended(group, event, state)
        group.open[event.incident_key] = None
        return []

    def _begin(self, event: Escalation, state: EscalationState, daily: bool) -> Group:
        group = Group(state.group_key, self._identity(state.alert, event.plan, daily), state.opened_at_ms)
        self.groups[group.key] = group
        self._by_identity[group.identity] = group
        return group

    def _note(self, group: Group, event: Escalation) -> None:
        if not event.notify:
            return
        at_ms = to_ms(event.at)
        if event.event in {"step_due", "repeated", "reassigned"} and event.target is not None:
            group.told_ms[event.target] = max(at_ms, group.told_ms.get(event.target, 0))
        elif event.event == "unacked":
            group.resumed_ms = max(at_ms, group.resumed_ms)
        elif event.event == "updated":
            group.changed_ms = None

    def _ended(self, group: Group, event: Escalation, state: EscalationState) -> list[str]:
        if event.event == "resolved" and event.incident_key in group.open:
            del group.open[event.incident_key]
            group.over.append(event.incident_key)
            if state.paged and group.changed_ms is None:
                group.changed_ms = to_ms(event.at)
        if not group.open:
            del self.groups[group.key]
            if self._by_identity.get(group.identity) is group:
                del self._by_identity[group.identity]
            return list(group.over)
        # The lead stays: commands on it are for the group. Of the others a message lists no more than so many.
        if len(group.over) <= MEMBERS_LISTED:
            return []
        oldest = group.over.popleft()
        if oldest == group.key:
            group.over.append(oldest)
            oldest = group.over.popleft()
        return [oldest]

    def _identity(self, alert: Alert, plan: tuple[PlannedStep, ...], daily: bool) -> Identity:
        """What comes daily is told of in one message, whatever it is."""
        if daily:
            return (alert.severity, isoformat_ms(plan[0].due_at) if plan else alert.incident_key)
        return (alert.severity, "", *(value_of(alert, name) for name in self._config.by))
