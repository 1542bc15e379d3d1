"""PagerDuty's Events API v2, as far as a client can tell. https://developer.pagerduty.com/docs/send-alert-event"""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.receivers.server import Receiver, main, running

SUCCESS = (202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": "as sent"}))
_KNOWN = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
_KNOWN_IN_PAYLOAD = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}


def pagerduty(*, port: int = 0, record: Path | None = None) -> AbstractAsyncContextManager[Receiver]:
    return running(violations, SUCCESS, port=port, record=record)


def violations(content_type: str, body: Any) -> list[str]:
    """What PagerDuty would answer with 400."""
    if content_type != "application/json":
        return [f"content type {content_type}"]
    if not isinstance(body, dict):
        return ["Event object is invalid"]
    found = [f"unknown field {name}" for name in body if name not in _KNOWN]
    if not isinstance(body.get("routing_key"), str) or len(body["routing_key"]) != 32:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if len(json.dumps(body)) > 512_000:
        found.append("larger than 512 KB")
    if not 1 <= len(str(body.get("dedup_key", ""))) <= 255:
        found.append("dedup_key: 1 to 255 characters")
    action = body.get("event_action")
    if action == "trigger":
        return found + _payload(body.get("payload")) + _links(body.get("links", []))
    return found if action in {"acknowledge", "resolve"} else [*found, f"event_action {action}"]


def _payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["payload is missing"]
    found = [f"unknown field payload.{name}" for name in payload if name not in _KNOWN_IN_PAYLOAD]
    if not 1 <= len(str(payload.get("summary", ""))) <= 1024:
        found.append("payload.summary: 1 to 1024 characters")
    if not payload.get("source"):
        found.append("payload.source is missing")
    if payload.get("severity") not in {"critical", "error", "warning", "info"}:
        found.append("payload.severity")
    try:
        datetime.fromisoformat(payload.get("timestamp", "2026-01-01T00:00:00Z"))
    except (TypeError, ValueError):
        found.append("payload.timestamp is not ISO 8601")
    return found


def _links(links: Any) -> list[str]:
    return [f"link without https address: {link}" for link in links if not str(link.get("href", "")).startswith("https://")]


if __name__ == "__main__":
    main("pagerduty", violations, SUCCESS)
