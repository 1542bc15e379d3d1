"""Records of alerts.v1, escalations.v1 and deliveries.v1 of an incident, written down by hand: no part of the product made them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from alerting.incidents import History
from schemas.alert import Alert, parse_alert
from schemas.delivery import Delivery
from schemas.escalation import Escalation, PlannedStep

_EXAMPLE = parse_alert((Path(__file__).parents[3] / "schemas/examples/alert/valid/whole.json").read_bytes())
BEGAN = datetime.fromisoformat("2026-11-23T10:00:00.000+00:00")


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Story:
    """One incident; times are seconds after it began. Repeats and strangers can be added to `history` at will."""

    def __init__(self, name: str = "one", rule: str = "Menu Generation Critical", history: History | None = None, group: str = "") -> None:
        self.key, self.rule, self.group = key_of(name), rule, key_of(group) if group else None
        self.history = History() if history is None else history

    def alert(self, state: str, seconds: float, **fields: Any) -> Alert:
        found = _EXAMPLE.model_copy(
            update={
                "incident_key": self.key,
                "transition_id": key_of(f"{self.key} {state} {seconds}"),
                "rule": self.rule,
                "severity": "critical",
                "state": state,
                "since": BEGAN,
                "at": at(seconds),
                "reason": f"because of {state}",
                "labels": {},
                **fields,
            }
        )
        self.history.alerts.append(found)
        return found

    def event(self, event: str, seconds: float, **fields: Any) -> Escalation:
        found = Escalation.model_validate(
            {
                "escalation_id": key_of(f"{self.key} {event} {seconds} {fields.get('target')}"),
                "incident_key": self.key,
                "rule": self.rule,
                "severity": "critical",
                "event": event,
                "step": None,
                "target": None,
                "due_at": None,
                "at": at(seconds),
                "actor": "alerter",
                "command_id": None,
                "reason": f"because of {event}",
                "plan": (),
                "alert": self.history.alerts[-1],
                "group_key": self.group,
                **fields,
            }
        )
        self.history.escalations.append(found)
        return found

    def delivery(self, receiver: str, outcome: str, seconds: float, **fields: Any) -> Delivery:
        found = Delivery.model_validate(
            {
                "delivery_id": key_of(f"{self.key} {receiver}"),
                "incident_key": self.key,
                "rule": self.rule,
                "receiver": receiver,
                "action": "trigger",
                "step": 0,
                "intent_at": at(seconds),
                "outcome": outcome,
                "attempt": 0 if outcome == "intended" else 1,
                "at": at(seconds),
                "http_status": None,
                "reason": "",
                "resent": False,
                "group_key": self.group,
                **fields,
            }
        )
        self.history.deliveries.append(found)
        return found


def plan(*steps: tuple[int, str, float]) -> tuple[PlannedStep, ...]:
    """(step, target, due after so many seconds)."""
    return tuple(PlannedStep(step=step, targets=(target,), due_at=at(seconds)) for step, target, seconds in steps)


def whole_story() -> Story:
    """Detected after 5 s, told at once, acknowledged after 3 min, resolved after 12."""
    story = Story()
    story.alert("firing", 5)
    story.event("opened", 5, plan=plan((0, "slack-critical", 5), (1, "ceo", 305)))
    story.event("step_due", 5, step=0, target="slack-critical", due_at=at(5))
    story.delivery("slack-critical", "intended", 5.1)
    story.delivery("slack-critical", "retrying", 5.5, http_status=429, reason="Slack asks to wait")
    story.delivery("slack-critical", "delivered", 7, attempt=2, http_status=200)
    story.event("acked", 185, actor="alice", command_id="c-1", reason="acknowledged by alice")
    story.alert("acknowledged", 185)
    story.event("resolved", 725)
    story.alert("resolved", 725)
    return story
