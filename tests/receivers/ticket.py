"""A tracker of issues that takes webhooks of Linear's shape, and a service of one's own that takes ours.

https://linear.app/developers/webhooks
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.receivers.server import Receiver, main, running

SUCCESS = (200, '{"success":true}')
_DIGEST = re.compile(r"[0-9a-f]{64}")


def tracker(*, port: int = 0, record: Path | None = None) -> AbstractAsyncContextManager[Receiver]:
    return running(ticket_violations, SUCCESS, port=port, record=record)


def service(*, port: int = 0, record: Path | None = None) -> AbstractAsyncContextManager[Receiver]:
    """Takes any JSON object that names its delivery, or a heartbeat."""
    return running(service_violations, SUCCESS, port=port, record=record)


def ticket_violations(content_type: str, body: Any) -> list[str]:
    """What is not Linear's shape."""
    if content_type != "application/json" or not isinstance(body, dict):
        return ["not a JSON object"]
    issue = body.get("data", {})
    found = [] if body.get("action") in {"create", "update", "remove"} else [f"action {body.get('action')}"]
    found += [] if body.get("type") == "Issue" else ["type"]
    found += [] if isinstance(body.get("webhookTimestamp"), int) else ["webhookTimestamp: milliseconds"]
    found += [] if issue.get("priority") in range(5) and issue.get("priorityLabel") else ["priority: 0 to 4"]
    found += [] if 1 <= len(issue.get("title", "")) <= 255 and "\n" not in issue["title"] else ["title: one line of 255 characters"]
    found += [] if issue.get("state", {}).get("type") in {"triage", "backlog", "unstarted", "started", "completed"} else ["state"]
    try:
        UUID(issue.get("id", ""))
        for name in ("createdAt", "updatedAt"):
            datetime.fromisoformat(issue[name])
    except (ValueError, KeyError) as error:
        found.append(f"id or time: {error}")
    return found


def service_violations(content_type: str, body: Any) -> list[str]:
    if content_type != "application/json" or not isinstance(body, dict):
        return ["not a JSON object"]
    name = "decision_id" if "heartbeat" in body else "delivery_id"
    return [] if _DIGEST.fullmatch(str(body.get(name, ""))) else [f"{name}: 64 hex digits"]


if __name__ == "__main__":
    main("ticket", ticket_violations, SUCCESS)
