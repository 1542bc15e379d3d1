"""Slack incoming webhooks: an incident as a message that explains itself.

aiohttp rather than slack_sdk's clients: those write the address or the token, which is the secret, into their debug log.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from pydantic import SecretStr

from alerting.notify import words
from alerting.notify.http import post_json
from alerting.notify.receiver import BEGIN_ACK_AND_END, Attempt, Notification
from alerting.notify.slack_blocks import blocks_of, cut, escape, section

_TEXT_CHARS = 3000
_SENT_AGAIN = "_Sent again: the notifier was restarted and does not know whether this message arrived before._"


class SlackReceiver:
    """Posts to one incoming webhook. Slack has no idempotency key: a repeat is a second message, which says that it is one."""

    hears = BEGIN_ACK_AND_END

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr) -> None:
        self._session, self._url = session, url

    async def send(self, notification: Notification) -> Attempt:
        return await post_json(self._session, self._url.get_secret_value(), slack_message(notification))


def slack_message(notification: Notification) -> dict[str, Any]:
    """The body of the POST: `text` for notifications and clients without blocks, `blocks` for reading."""
    alert, group = notification.event.alert, notification.group
    headline = words.headline(notification)
    blocks = blocks_of(notification, headline, with_evidence=notification.action != "acknowledge")
    if notification.resent:
        blocks.insert(2, section(_SENT_AGAIN))
    if notification.action == "trigger":
        blocks.append(section(f"Acknowledge: `{words.ack_command(group)}`\nRunbook: {escape(alert.runbook)}"))
    return {"text": cut(escape(fallback(notification, headline)), _TEXT_CHARS), "blocks": blocks}


def fallback(notification: Notification, headline: str) -> str:
    """What a phone shows. The summary of an alert begins with what happened to it; an acknowledgement happens to one that still fires."""
    alert, group = notification.event.alert, notification.group
    if notification.action == "acknowledge" or not group.is_one_incident:
        return f"{headline}: {notification.event.reason}"
    return f"{alert.severity.upper()}: {alert.summary}"
