"""Any service of one's own: the notification as JSON, with its idempotency key in the header Idempotency-Key."""

from __future__ import annotations

from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notify.http import post_json
from alerting.notify.receiver import EVERYTHING, Attempt, Notification


class WebhookReceiver:
    """Posts to `url`; a token is sent as Authorization: Bearer."""

    hears = EVERYTHING

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr, token: SecretStr | None) -> None:
        self._session, self._url, self._token = session, url.get_secret_value(), token

    async def send(self, notification: Notification) -> Attempt:
        headers = headers_of(notification.delivery_id, self._token)
        return await post_json(self._session, self._url, webhook_body(notification), headers)


def webhook_body(notification: Notification) -> dict[str, Any]:
    """What happened (`action`), how the group stands, and the escalation event as it is on `escalations.v1`."""
    group = notification.group
    return {
        "schema_version": 1,
        "delivery_id": notification.delivery_id,
        "receiver": notification.receiver,
        "action": notification.action,
        "group_key": group.group_key,
        "status": group.status,
        "severity": group.severity,
        "incidents": [member.model_dump(mode="json") for member in group.members],
        "incidents_total": group.members_total,
        "event": notification.event.model_dump(mode="json"),
    }


def headers_of(delivery_id: str, token: SecretStr | None) -> dict[str, str]:
    """Of a request that may be repeated."""
    authorization = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    return {"Idempotency-Key": delivery_id, **authorization}
