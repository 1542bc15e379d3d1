"""Notifications about an incident of the engine's own making."""

from __future__ import annotations

from typing import Any

from alerting.engine.identity import digest
from alerting.notify.receiver import Notification
from schemas.delivery import DeliveryAction
from schemas.escalation import Escalation
from tests.unit.alerting.stage import MENUS, Stage, ack, alerts, new_engine


def escalation_events() -> list[Escalation]:
    """The seed's rule fires, is acknowledged and resolves."""
    stage = Stage(new_engine(only=MENUS)).start().healthy_minute()
    stage.sources[0].failures(51, 400)
    stage.flush(51.2, only=[0])
    stage.command(ack(alerts(stage.said)[0].incident_key, 60), 60)
    for pane in range(60, 150, 10):
        for source in stage.sources:
            source.menus(pane + 5, 80)
        stage.flush(pane + 9.9)
    return [output for output in stage.said if isinstance(output, Escalation)]


def notification(
    action: DeliveryAction = "trigger", receiver: str = "slack-critical", *, resent: bool = False, **of_alert: Any
) -> Notification:
    """One that asks for `action`; `of_alert` replaces fields of its alert."""
    wanted = {"trigger": "step_due", "acknowledge": "acked", "resolve": "resolved"}[action]
    event = next(event for event in escalation_events() if event.event == wanted)
    event = event.model_copy(update={"alert": event.alert.model_copy(update=of_alert)})
    return Notification(digest(action, receiver), receiver, action, event, resent)
