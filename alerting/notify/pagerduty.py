"""PagerDuty Events API v2: one POST; the key of the group is the dedup_key, so a repeat is the same alert and its end finds it."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from alerting.notify import words
from alerting.notify.http import encoded_size_bytes, post_json
from alerting.notify.receiver import BEGIN_ACK_AND_END, Attempt, Notification
from schemas.alert import Severity
from schemas.timestamps import isoformat_ms

# https://developer.pagerduty.com/docs/send-alert-event
_SUMMARY_CHARS: Final = 1024
_EVENT_BYTES: Final = 512_000
_SEVERITIES: Final[dict[Severity, str]] = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
_SOURCE: Final = "nutricoach-telemetry"


class PagerDutyReceiver:
    """Enqueues at `url`, the full enqueue address, for the service of `routing_key`.

    Its events know no way to take an acknowledgement back: PagerDuty's own timeout does.
    """

    hears = BEGIN_ACK_AND_END

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr, routing_key: SecretStr) -> None:
        self._session, self._url, self._routing_key = session, url.get_secret_value(), routing_key

    async def send(self, notification: Notification) -> Attempt:
        return await post_json(self._session, self._url, pagerduty_event(notification, self._routing_key.get_secret_value()))


def pagerduty_event(notification: Notification, routing_key: str) -> dict[str, Any]:
    """The body of the POST. Too large, it goes without custom_details rather than not at all."""
    alert, group = notification.event.alert, notification.group
    event: dict[str, Any] = {"routing_key": routing_key, "event_action": notification.action, "dedup_key": group.group_key}
    if notification.action != "trigger":
        return event
    event["client"] = _SOURCE
    event["payload"] = {
        "summary": _summary(notification)[:_SUMMARY_CHARS],
        "source": _SOURCE,
        "severity": _SEVERITIES[group.severity],
        "timestamp": isoformat_ms(alert.since),
        "class": alert.term,
        "custom_details": {
            **alert.model_dump(mode="json", exclude={"schema_version", "transition_id", "channels"}),
            "why": notification.event.reason,
            "acknowledge": f"telemetry alerts ack {group.group_key} --by NAME",
            "incidents": [words.member_line(member) for member in group.members],
            "incidents_total": group.members_total,
        },
    }
    if alert.runbook.startswith("https://"):
        event["links"] = [{"href": alert.runbook, "text": "Runbook"}]
    if encoded_size_bytes(event) > _EVENT_BYTES:
        event["payload"]["custom_details"] = {"error": "Custom details have been removed, the event was too large."}
    return event


def _summary(notification: Notification) -> str:
    alert, group = notification.event.alert, notification.group
    if group.is_one_incident:
        return f"{alert.severity.upper()}: {alert.summary}"
    return f"{words.headline(notification)}: {alert.summary}"
