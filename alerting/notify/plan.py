"""From escalation events to notifications: who is to be told what, and what need not be sent any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from alerting.engine.identity import digest
from alerting.notify.group import Group, GroupView
from alerting.notify.receiver import Notification
from schemas.delivery import FINAL_OUTCOMES, Delivery, DeliveryAction
from schemas.escalation import Escalation, EscalationEvent
from schemas.timestamps import to_ms

_PAGES: Final[frozenset[EscalationEvent]] = frozenset({"step_due", "repeated", "reassigned"})
#: What a stand-in is still told by a notifier that finds nothing about it on `deliveries.v1`.
_OWED_TO_STAND_INS: Final[frozenset[DeliveryAction]] = frozenset({"trigger", "resolve"})


@dataclass(frozen=True, slots=True)
class Due:
    """`stale`: by then everything it is about was acknowledged or over, from an alerter that had not noticed; it is not sent.

    owed: an earlier notifier began with it, or had to and did not come to it.
    """

    notification: Notification
    stale: bool = False
    owed: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """What `deliveries.v1` says about one delivery."""

    intent_at_ms: int
    attempts: int
    final: bool
    failed_over_to: str | None


class Plan:
    """The fold of `escalations.v1` and of what `deliveries.v1` says has been done. Events are `read` in the order of the topic."""

    def __init__(self, deliveries: Iterable[Delivery] = ()) -> None:
        self._known: dict[str, Intent] = {}
        self._refs: dict[tuple[str, str], str] = {}
        for delivery in deliveries:
            self._learn(delivery)
        self._groups: dict[str, Group] = {}
        self._seen: set[str] = set()

    def read(self, event: Escalation) -> list[Due]:
        """What `event` asks for and has not been done; a repeated event asks for nothing."""
        if event.escalation_id in self._seen:
            return []
        self._seen.add(event.escalation_id)
        key = event.group_key or event.incident_key
        group = self._groups.setdefault(key, Group(key, to_ms(event.at)))
        return self._page(event, group) if event.event in _PAGES else self._tell(event, group)

    def intent_of(self, notification: Notification) -> Intent | None:
        """What was known about it when the plan was made."""
        return self._known.get(notification.delivery_id)

    def stand_in(self, failed: Notification, receiver: str) -> Notification | None:
        """`receiver` is to be told in place of the one that could not be; None: everything has been acknowledged meanwhile, or is over.

        Who has been told of a group that is over hears of its end, or has: a page after that would open it again, for good.
        """
        key = failed.group.group_key
        group = self._groups.get(key)
        instead_of = failed.stands_in_for or failed.receiver
        first = True
        if group is not None:
            if failed.action == "trigger" and (group.is_acknowledged or (group.over and receiver in group.told)):
                return None
            first = receiver not in group.told
            group.tell(receiver, instead_of)
        delivery_id = digest(failed.event.escalation_id, receiver)
        ref = self._refs.get((receiver, key))
        return replace(
            failed, delivery_id=delivery_id, receiver=receiver, first=first, resent=False, stands_in_for=instead_of, message_ref=ref
        )

    def _learn(self, delivery: Delivery) -> None:
        if delivery.message_ref is not None:
            self._refs[(delivery.receiver, delivery.group_key or delivery.incident_key)] = delivery.message_ref
        known = self._known.get(delivery.delivery_id)
        if known is not None and known.final:
            return  # two notifiers may both have written; what is done stays done
        final = delivery.outcome in FINAL_OUTCOMES
        over = delivery.failover if delivery.outcome == "failed_over" else None
        self._known[delivery.delivery_id] = Intent(to_ms(delivery.intent_at), delivery.attempt, final, over)

    def _page(self, event: Escalation, group: Group) -> list[Due]:
        stale = group.nobody_waits_for(event)
        told_before = tuple(group.told)
        if not group.over:
            group.apply(event)
        if event.target is None or not event.notify:
            return []
        receivers = [event.target, *self._failed_over_from(event, event.target)]
        if not stale:
            for receiver in receivers:
                group.tell(receiver, None if receiver == event.target else event.target)
        view = group.view(event)
        due = self._due(event, group, "trigger", receivers[-1], view, first=receivers[-1] not in told_before)
        return [] if due is None else [replace(due, stale=stale)]

    def _tell(self, event: Escalation, group: Group) -> list[Due]:
        if group.over:
            return []
        group.apply(event)
        action = _action_of(event, group)
        if action is None:
            return []
        view = group.view(event)
        if action == "resolve":
            group.end()
        due = [self._due(event, group, action, receiver, view, first=False) for receiver in group.told]
        return [one for one in due if one is not None]

    def _failed_over_from(self, event: Escalation, receiver: str) -> Sequence[str]:
        """Who stood in for it, one after the other, by what `deliveries.v1` says."""
        names: list[str] = []
        while (known := self._known.get(digest(event.escalation_id, receiver))) is not None:
            if known.failed_over_to is None or known.failed_over_to in names:
                break
            receiver = known.failed_over_to
            names.append(receiver)
        return names

    def _due(self, event: Escalation, group: Group, action: DeliveryAction, receiver: str, view: GroupView, *, first: bool) -> Due | None:
        delivery_id = digest(event.escalation_id, receiver)
        known = self._known.get(delivery_id)
        if known is not None and known.final:
            return None
        stands_in_for = group.stand_ins.get(receiver)
        notification = Notification(
            delivery_id,
            receiver,
            action,
            event,
            view,
            first=first,
            resent=known is not None,
            stands_in_for=stands_in_for,
            message_ref=self._refs.get((receiver, group.key)),
        )
        owed = known is not None or (stands_in_for is not None and action in _OWED_TO_STAND_INS)
        return Due(notification, owed=owed)


def _action_of(event: Escalation, group: Group) -> DeliveryAction | None:
    """What everybody who was paged hears of an event that pages nobody; None: nothing. `group` has seen it."""
    match event.event:
        case "resolved" if group.nothing_is_open:
            return "resolve"
        case "acked" if event.notify:
            # PagerDuty is deaf to what comes after: not before somebody works on all of it.
            return "acknowledge" if group.is_acknowledged else "update"
        case "unacked" | "snoozed" | "updated" if event.notify:
            return "update"
    return None


def failover_routes(failovers: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """For each receiver, itself and who stands in for it, in order: its own stand-ins, then theirs; nobody twice, so never a loop."""
    return {name: _route(name, failovers) for name in failovers}


def _route(name: str, failovers: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    route = [name]
    for visited in route:  # grows while it is walked
        route += [one for one in failovers.get(visited, ()) if one not in route]
    return tuple(route)
