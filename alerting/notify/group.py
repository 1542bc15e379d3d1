"""The incidents a message is about: what of a group's events on `escalations.v1` whoever is told of it needs to know. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from schemas.alert import OPEN_STATES, AlertState, Severity
from schemas.escalation import MEMBERS_LISTED, Escalation, Member
from schemas.timestamps import to_ms

Status = Literal["firing", "acknowledged", "snoozed", "resolved"]

SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group as its receivers are told of it: `members` (of `members_total`) open first, worst first; `severity`: of the worst.

    acked_by, snoozed_until_ms: of the incident whose event it is; opened_at_ms: when the first was opened.
    """

    group_key: str
    status: Status
    severity: Severity
    members: tuple[Member, ...]
    members_total: int
    opened_at_ms: int
    acked_by: str = ""
    snoozed_until_ms: int | None = None

    @property
    def is_one_incident(self) -> bool:
        return self.members_total <= 1


@dataclass(frozen=True, slots=True)
class _Standing:
    """How one incident stands; `acked_by` is empty while nobody works on it."""

    member: Member
    acked_by: str = ""
    snoozed_until_ms: int | None = None
    resolved: bool = False

    @property
    def waits(self) -> bool:
        return not self.resolved and not self.acked_by


@dataclass(slots=True)
class Group:
    """`told`: who is to hear of the rest; `stand_ins`: those of them that took another's place, and whose. It keeps no more once over."""

    key: str
    opened_at_ms: int
    told: list[str] = field(default_factory=list)
    stand_ins: dict[str, str] = field(default_factory=dict)
    over: bool = False
    _incidents: dict[str, _Standing] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _waiting: set[str] = field(default_factory=set)

    def apply(self, event: Escalation) -> None:
        """Fold one event; a repeated one changes nothing more."""
        key = event.incident_key
        standing = self._incidents[key] = _after(event, self._incidents.get(key))
        (self._open.discard if standing.resolved else self._open.add)(key)
        (self._waiting.add if standing.waits else self._waiting.discard)(key)

    def end(self) -> None:
        """Nothing follows but what comes too late."""
        self.over = True
        self._incidents.clear()

    @property
    def nothing_is_open(self) -> bool:
        return not self._open

    @property
    def is_acknowledged(self) -> bool:
        """Somebody works on every incident that is open."""
        return bool(self._open) and not self._waiting

    def nobody_waits_for(self, event: Escalation) -> bool:
        """Every incident that a page is about has been acknowledged or is over by now."""
        keys = {member.incident_key for member in event.members} or {event.incident_key}
        known = [self._incidents[key] for key in keys if key in self._incidents]
        return self.over or (bool(known) and not any(one.waits for one in known))

    def tell(self, receiver: str, instead_of: str | None = None) -> None:
        """It hears of everything that follows."""
        if receiver not in self.told:
            self.told.append(receiver)
            if instead_of is not None:
                self.stand_ins[receiver] = instead_of

    def view(self, event: Escalation) -> GroupView:
        """How the group stands after `event`, which has been applied."""
        of_event = self._incidents.get(event.incident_key) or _after(event, None)
        members = event.members or self._members() or (of_event.member,)
        snoozed_until_ms = of_event.snoozed_until_ms
        status: Status = "firing"
        if self.over or self.nothing_is_open:
            status = "resolved"
        elif self.is_acknowledged:
            status = "acknowledged"
        elif snoozed_until_ms is not None and snoozed_until_ms > to_ms(event.at):
            status = "snoozed"
        return GroupView(
            group_key=self.key,
            status=status,
            severity=min((one.severity for one in _open(members) or members), key=SEVERITIES.index),
            members=members,
            members_total=max(event.members_total, len(members)),
            opened_at_ms=self.opened_at_ms,
            acked_by=of_event.acked_by,
            snoozed_until_ms=snoozed_until_ms if status == "snoozed" else None,
        )

    def _members(self) -> tuple[Member, ...]:
        members = sorted(
            (one.member for one in self._incidents.values()), key=lambda m: (m.state not in OPEN_STATES, SEVERITIES.index(m.severity))
        )
        return tuple(members[:MEMBERS_LISTED])


def _after(event: Escalation, before: _Standing | None) -> _Standing:
    alert = event.alert
    said: AlertState = before.member.state if before is not None and event.event != "resolved" else alert.state
    member = Member(
        incident_key=event.incident_key,
        rule=event.rule,
        severity=event.severity,
        state={"acked": "acknowledged", "unacked": "firing", "opened": alert.state}.get(event.event, said),
        labels=alert.labels,
        summary=alert.summary,
    )
    standing = replace(before, member=member) if before is not None else _Standing(member)
    if event.event == "acked":
        return replace(standing, acked_by=event.actor)
    if event.event == "unacked":
        return replace(standing, acked_by="")
    if event.event == "snoozed":
        return replace(standing, snoozed_until_ms=None if event.until is None else to_ms(event.until))
    return replace(standing, resolved=True) if event.event == "resolved" else standing


def _open(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(member for member in members if member.state in OPEN_STATES)
