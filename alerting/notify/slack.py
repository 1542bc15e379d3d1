"""Slack incoming webhooks: an incident as a message that explains itself.

aiohttp rather than slack_sdk's webhook client: that one writes the address, which is the secret, into its debug log, and follows redirects.
"""

from __future__ import annotations

from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from alerting.engine.evidence import readable
from alerting.notify.receiver import Attempt, Notification, post_json
from schemas.alert import Alert
from schemas.timestamps import isoformat_ms

# https://docs.slack.dev/reference/block-kit/blocks
_HEADER_CHARS: Final = 150
_SECTION_CHARS: Final = 3000
#: Slack takes 2000 for a field, but refuses messages beyond about 13,200 in all (slackapi/bolt-js#2509).
_FIELD_CHARS: Final = 500
_LEAD_CHARS: Final = 1500
#: Characters of an incident key that people type; `telemetry alerts ack` takes any unique prefix.
KEY_PREFIX_CHARS: Final = 12

_HEADLINES: Final = {"trigger": "fires", "acknowledge": "is acknowledged", "resolve": "is resolved"}


class SlackReceiver:
    """Posts to one incoming webhook. Slack has no idempotency key: a repeat is a second message, which says that it is one."""

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr) -> None:
        self._session, self._url = session, url

    async def send(self, notification: Notification) -> Attempt:
        return await post_json(self._session, self._url, slack_message(notification))


def slack_message(notification: Notification) -> dict[str, Any]:
    """The body of the POST: `text` for notifications and clients without blocks, `blocks` for reading."""
    alert = notification.event.alert
    headline = f"{alert.severity.upper()}: {alert.rule} {_HEADLINES[notification.action]}"
    lead = f"*{escape(alert.summary)}*\n{escape(notification.event.reason)}"
    if notification.resent:
        lead += "\n_Sent again: the notifier was restarted and does not know whether this message arrived before._"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(headline, _HEADER_CHARS), "emoji": False}},
        _section(cut(lead, _LEAD_CHARS)),
    ]
    if notification.action != "acknowledge":
        blocks += [{"type": "section", "fields": _fields(alert)}, _section(f"The same number by SQL:\n{_code(alert.sql)}")]
    if notification.action == "trigger":
        command = f"telemetry alerts ack {alert.incident_key[:KEY_PREFIX_CHARS]} --by NAME"
        blocks += [_section(f"Acknowledge: `{command}`\nRunbook: {escape(alert.runbook)}")]
    # The summary of an alert begins with what happened to it; an acknowledgement happens to an alert that still fires.
    text = (
        f"{headline}: {notification.event.reason}" if notification.action == "acknowledge" else f"{alert.severity.upper()}: {alert.summary}"
    )
    return {"text": cut(escape(text), _SECTION_CHARS), "blocks": blocks}


def escape(text: str) -> str:
    """Text that Slack shows as it is: no mention, link or command can be made of it; on one line, without control characters.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    line = "".join(character if character.isprintable() else " " for character in text)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """At most `most` characters, never half of an escape."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    started = head.rfind("&")
    if started >= 0 and ";" not in head[started:]:
        head = head[:started]
    return head + "…"


def _fields(alert: Alert) -> list[dict[str, Any]]:
    threshold = readable(alert.threshold, alert.unit)
    values = {
        "Condition": alert.condition,
        "Value and threshold": f"{readable(alert.value, alert.unit)}, threshold {threshold}",
        "Numerator / denominator": f"{alert.numerator:.12g} / {alert.denominator:.12g}",
        "Window": f"{isoformat_ms(alert.window_from)} to {isoformat_ms(alert.window_to)}, judged to {isoformat_ms(alert.judged_to)}",
        "Watermark": "unknown for some partitions" if alert.watermark is None else isoformat_ms(alert.watermark),
        "Since": isoformat_ms(alert.since),
        "Why now": f"{alert.reason} ({'; '.join(gate.detail for gate in alert.gates)})",
        "Incident": alert.incident_key,
    }
    return [{"type": "mrkdwn", "text": cut(f"*{name}*\n{escape(value)}", _FIELD_CHARS)} for name, value in values.items()]


def _section(markdown: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(markdown, _SECTION_CHARS)}}


def _code(text: str) -> str:
    body = cut(escape(text).replace("```", "'''"), _SECTION_CHARS - 100)
    return f"```{body}```" if text else "this alert is about the pipeline itself, its evidence is on panes.v1"
