"""Tickets by webhook, in the shape of Linear's own: one issue per group, created when it begins and completed when it is over.

https://linear.app/developers/webhooks: action, type, data, createdAt, webhookTimestamp. The issue's id is made of the group's key, so
that a repeat is the same issue.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID, uuid5

import aiohttp
from pydantic import SecretStr

from alerting.notify import words
from alerting.notify.http import post_json
from alerting.notify.receiver import BEGIN_AND_END, Attempt, Notification
from alerting.notify.webhook import headers_of
from schemas.alert import Severity
from schemas.timestamps import isoformat_ms, isoformat_of, to_ms

#: Of version 5 (RFC 9562), by the group's key.
_ISSUES: Final = UUID("5f1d7a0e-6c43-5d0b-9a38-6f1f0c6f9f10")
_TITLE_CHARS: Final = 255
_DESCRIPTION_CHARS: Final = 20_000
_PRIORITIES: Final[dict[Severity, tuple[int, str]]] = {
    "critical": (1, "Urgent"),
    "high": (2, "High"),
    "medium": (3, "Medium"),
    "low": (4, "Low"),
}


class TicketReceiver:
    """Posts to `url`; a token is sent as Authorization: Bearer."""

    hears = BEGIN_AND_END

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr, token: SecretStr | None) -> None:
        self._session, self._url, self._token = session, url.get_secret_value(), token

    async def send(self, notification: Notification) -> Attempt:
        headers = headers_of(notification.delivery_id, self._token)
        return await post_json(self._session, self._url, ticket(notification), headers)


def ticket(notification: Notification) -> dict[str, Any]:
    """The body of the POST."""
    event, group = notification.event, notification.group
    priority, priority_label = _PRIORITIES[group.severity]
    at = isoformat_ms(event.at)
    is_over = notification.action == "resolve"
    issue = {
        "id": str(uuid5(_ISSUES, group.group_key)),
        "title": words.subject(notification)[:_TITLE_CHARS],
        "description": words.body(notification)[:_DESCRIPTION_CHARS],
        "priority": priority,
        "priorityLabel": priority_label,
        "labels": [{"name": name} for name in dict.fromkeys((event.rule, event.severity, event.alert.owner)) if name],
        "state": {"name": "Done", "type": "completed"} if is_over else {"name": "Triage", "type": "triage"},
        "createdAt": isoformat_of(group.opened_at_ms),
        "updatedAt": at,
    }
    if is_over:
        issue["completedAt"] = at
    return {
        "action": "create" if notification.action == "trigger" and notification.first else "update",
        "type": "Issue",
        "createdAt": at,
        "data": issue,
        "webhookTimestamp": to_ms(event.at),
    }
