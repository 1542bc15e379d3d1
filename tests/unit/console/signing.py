"""Requests as Slack and PagerDuty sign them: HMAC as RFC 2104 defines it, not by what the console uses."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import urlencode

KEY = "ab" * 32


def hmac_sha256(secret: str, message: bytes) -> str:
    """H(K ^ opad, H(K ^ ipad, text)), in hex."""
    key = secret.encode()
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


def slack_headers(secret: str, body: bytes, timestamp: int | str) -> dict[str, str]:
    signature = hmac_sha256(secret, b"v0:%b:%b" % (str(timestamp).encode(), body))
    return {
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": f"v0={signature}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def pressed(*buttons: tuple[str, str], user: dict[str, str] | None = None, action_ts: str | None = "1795600000.123456") -> bytes:
    """The form that Slack sends when buttons (action_id, value) are pressed."""
    stamp = {} if action_ts is None else {"action_ts": action_ts}
    actions = [{"type": "button", "block_id": "b", "action_id": name, "value": value, **stamp} for name, value in buttons]
    payload = {
        "type": "block_actions",
        "user": user or {"id": "U024BE7LH", "username": "alice", "name": "alice", "team_id": "T1"},
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "container": {"type": "message", "message_ts": "1548261231.000200", "channel_id": "C1"},
        "response_url": "https://hooks.slack.test/actions/T1/1/x",
        "actions": actions,
    }
    return form(json.dumps(payload))


def form(payload: str) -> bytes:
    return urlencode({"payload": payload}).encode()


def pagerduty_headers(body: bytes, *secrets: str) -> dict[str, str]:
    return {"X-PagerDuty-Signature": ",".join(f"v1={hmac_sha256(secret, body)}" for secret in secrets), "Content-Type": "application/json"}


def pagerduty_event(event_type: str, incident_key: str | None = KEY, *, agent: Any = "person", event_id: str = "5ac64822") -> bytes:
    """The body of a v3 webhook."""
    person = {"id": "PLH1HKV", "summary": "Tenex Engineer", "type": "user_reference", "self": "https://api.pagerduty.test/users/PLH1HKV"}
    document = {
        "event": {
            "id": event_id,
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": "2026-11-23T10:00:00.000Z",
            "agent": person if agent == "person" else agent,
            "client": None,
            "data": {"id": "PGR0VU2", "type": "incident", "incident_key": incident_key, "status": "acknowledged", "number": 2},
        }
    }
    return json.dumps(document).encode()
