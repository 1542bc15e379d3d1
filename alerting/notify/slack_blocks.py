"""An incident, or a group of them, as Slack's blocks, within Slack's limits and with everybody's text escaped.

https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from alerting.notify import words
from alerting.notify.group import GroupView
from alerting.notify.receiver import Notification
from schemas.alert import Alert
from schemas.printable import printable

_HEADER_CHARS: Final = 150
_SECTION_CHARS: Final = 3000
#: Slack takes 2000 for a field, but refuses messages beyond about 13,200 in all (slackapi/bolt-js#2509).
_FIELD_CHARS: Final = 400
_FIELDS: Final = 10
_LEAD_CHARS: Final = 1500
_CONTEXT_CHARS: Final = 1000
_MEMBERS_CHARS: Final = 5000
_MEMBER_CHARS: Final = (40, 150)
_MESSAGE_CHARS: Final = 10_000
#: What a message keeps of an SQL statement that is too long is no use.
_LEAST_SQL_CHARS: Final = 400
#: Left for what stands below: how to acknowledge, the runbook.
_FOOT_CHARS: Final = 800
_FEW_FACTS: Final = ("Condition", "Value and threshold", "Since", "Owner")


def blocks_of(notification: Notification, headline: str, *, with_evidence: bool) -> list[dict[str, Any]]:
    """Headline, what happened, then the incidents of a group or the evidence of one, what failing events have in common, and SQL."""
    alert, group = notification.event.alert, notification.group
    lead = f"*{escape(alert.summary)}*\n{escape(notification.event.reason)}"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(headline, _HEADER_CHARS), "emoji": False}},
        section(cut(lead, _LEAD_CHARS)),
    ]
    if not group.is_one_incident:
        blocks += _members(group)
    if not with_evidence:
        return blocks
    blocks.append({"type": "section", "fields": _fields(alert, few=not group.is_one_incident)})
    if context := words.context_lines(alert.context):
        blocks.append(section(cut("\n".join(map(escape, context)), _CONTEXT_CHARS)))
    left = _MESSAGE_CHARS - _FOOT_CHARS - characters(blocks)
    if group.is_one_incident and left >= _LEAST_SQL_CHARS:
        blocks.append(section(f"The same number by SQL:\n{_code(alert.sql, min(left, _SECTION_CHARS) - 100)}"))
    return blocks


def buttons(notification: Notification) -> list[dict[str, Any]]:
    """What can be done about it, for who may click; none once it is over. The value of each is the key of the group."""
    group = notification.group
    if group.status == "resolved":
        return []
    first = _button("Unacknowledge", "unack", group) if group.status == "acknowledged" else _button("Acknowledge", "ack", group)
    if group.status == "firing":
        first["style"] = "primary"
    return [{"type": "actions", "elements": [first, _button("Snooze 1 h", "snooze", group)]}]


def section(markdown: str) -> dict[str, Any]:
    """A section of escaped text."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(markdown, _SECTION_CHARS)}}


def footer(markdown: str) -> dict[str, Any]:
    """Small print of escaped text."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": cut(markdown, _FOOT_CHARS)}]}


def escape(text: str) -> str:
    """Text that Slack shows as it is: no mention, link or command can be made of it; on one line, without control characters.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, most: int) -> str:
    """At most `most` characters, never half of an escape."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    started = head.rfind("&")
    if started >= 0 and ";" not in head[started:]:
        head = head[:started]
    return head + "…"


def characters(blocks: Iterable[dict[str, Any]]) -> int:
    """What counts against the length of a message."""
    texts = (text for block in blocks for text in (*block.get("fields", ()), block.get("text"), *block.get("elements", ())))
    return sum(len(text["text"]) for text in texts if isinstance(text, dict) and isinstance(text.get("text"), str))


def _members(group: GroupView) -> list[dict[str, Any]]:
    shortest, longest = _MEMBER_CHARS
    each = max(shortest, min(longest, _MEMBERS_CHARS // len(group.members)))
    lines = [cut(f"• {escape(words.member_line(member))}", each) for member in group.members]
    hidden = group.members_total - len(group.members)
    if hidden > 0:
        lines.append(f"• and {hidden} more")
    sections: list[list[str]] = [[]]
    for line in lines:
        if sum(len(one) + 1 for one in sections[-1]) + len(line) > _SECTION_CHARS:
            sections.append([])
        sections[-1].append(line)
    return [section("\n".join(part)) for part in sections]


def _fields(alert: Alert, *, few: bool) -> list[dict[str, Any]]:
    facts = {name: value for name, value in words.facts(alert).items() if not few or name in _FEW_FACTS}
    fields = [{"type": "mrkdwn", "text": cut(f"*{name}*\n{escape(value)}", _FIELD_CHARS)} for name, value in facts.items()]
    return fields[:_FIELDS]


def _button(text: str, action_id: str, group: GroupView) -> dict[str, Any]:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": text, "emoji": False},
        "action_id": action_id,
        "value": group.group_key,
    }


def _code(text: str, most: int) -> str:
    body = cut(escape(text).replace("```", "'''"), most)
    return f"```{body}```" if text else "this alert is about the pipeline itself, its evidence is on panes.v1"
