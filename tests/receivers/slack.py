"""A Slack incoming webhook, as far as a client can tell: what Slack documents and slack_sdk's validators check is checked here by hand.
The Web API is in slack_api.py.

Limits: https://docs.slack.dev/reference/block-kit/blocks, https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.receivers.server import Receiver, main, running

SUCCESS = (200, "ok")
#: A bare < begins a mention, a link or a command: a message of ours never has one.
_CONTROL = re.compile(r"[<>].{0,40}|&(?!amp;|lt;|gt;)")


def slack(*, port: int = 0, record: Path | None = None) -> AbstractAsyncContextManager[Receiver]:
    return running(violations, SUCCESS, port=port, record=record)


def violations(content_type: str, body: Any) -> list[str]:
    """What Slack would refuse or garble, or would call somebody by."""
    if content_type != "application/json":
        return [f"content type {content_type}"]
    if not isinstance(body, dict):
        return ["not an object"]
    found = [f"unknown field {name}" for name in body if name not in {"text", "blocks", "attachments", "thread_ts"}]
    return found + message_violations(body)


def message_violations(body: dict[str, Any]) -> list[str]:
    """What is wrong with text and blocks."""
    found = _text("text", body.get("text"), 40_000, markdown=True)
    blocks = body.get("blocks", [])
    if not isinstance(blocks, list) or len(blocks) > 50:
        return [*found, "blocks: not a list of at most 50"]
    for number, block in enumerate(blocks):
        found += [f"block {number}: {problem}" for problem in _block(block)]
    characters = sum(len(text["text"]) for block in blocks for text in _texts(block))
    return found + ([f"msg_blocks_too_long: {characters} characters"] if characters > 13_200 else [])


def _block(block: Any) -> list[str]:
    match block:
        case {"type": "header", "text": {"type": "plain_text", "text": text}}:
            return _text("header", text, 150, markdown=False)
        case {"type": "section", "text": {"type": "mrkdwn", "text": text}}:
            return _text("section", text, 3000, markdown=True)
        case {"type": "section", "fields": [*fields]} if 1 <= len(fields) <= 10:
            return [problem for one in fields for problem in _text("field", one.get("text"), 2000, markdown=one.get("type") == "mrkdwn")]
        case {"type": "context", "elements": [*elements]} if 1 <= len(elements) <= 10:
            return [problem for one in elements for problem in _text("context", one.get("text"), 3000, markdown=True)]
        case {"type": "actions", "elements": [*elements]} if 1 <= len(elements) <= 25:
            return [problem for one in elements for problem in _button(one)]
    return [f"not a block this receiver knows: {str(block)[:100]}"]


def _button(element: Any) -> list[str]:
    match element:
        case {"type": "button", "text": {"type": "plain_text", "text": text}, "action_id": str(action_id), "value": str(value)}:
            found = _text("button", text, 75, markdown=False)
            found += [f"action_id: {len(action_id)} characters"] if not 1 <= len(action_id) <= 255 else []
            return found + ([f"value: {len(value)} characters"] if len(value) > 2000 else [])
    return [f"not a button this receiver knows: {str(element)[:100]}"]


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    elements = [one["text"] if isinstance(one.get("text"), dict) else one for one in block.get("elements", [])]
    return [*block.get("fields", []), *elements, *([block["text"]] if isinstance(block.get("text"), dict) else [])]


def _text(where: str, text: Any, most: int, *, markdown: bool) -> list[str]:
    if not isinstance(text, str) or not text:
        return [f"{where}: missing or empty"]
    found = [f"{where}: {len(text)} characters, at most {most}"] if len(text) > most else []
    if markdown and (control := _CONTROL.search(text)):
        found.append(f"{where}: not escaped: {control.group()}")
    return found


if __name__ == "__main__":
    main("slack", violations, SUCCESS)
