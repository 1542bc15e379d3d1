"""Dead letters for tests."""

from __future__ import annotations

import json
from typing import Any

from schemas.dead_letter import DeadLetter

TOPIC = "nutricoach.telemetry.events.v1"
#: 2026-11-23T10:00:00Z
TEN = 1_795_428_000_000
ID = "01980f3c-7d2a-4c3e-8f00-0123456789ab"


def document(**changes: Any) -> dict[str, Any]:
    """A menu_generated event; a change of None leaves the field out."""
    event = {
        "event_id": ID,
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": "menu-api", "environment": "test"},
        "user_id": "u-42",
        "properties": {"recipe_count": 5, "restrictions": [], "generation_time_ms": 1240.5, "outcome": "full", "provider": "ollama"},
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not None}


def letter(value: bytes | dict[str, Any], error_code: str = "invalid_field", **changes: Any) -> DeadLetter:
    """As a worker would have written it."""
    fields: dict[str, Any] = {
        "kafka_topic": TOPIC,
        "kafka_partition": 3,
        "kafka_offset": 41,
        "failed_at_ms": TEN,
        "error_code": error_code,
        "reason": "because",
        "event_id": ID,
        "event_type": "menu_generated",
        "service": "menu-api",
        "key": b"u-42",
        "value": value if isinstance(value, bytes) else json.dumps(value).encode(),
    }
    return DeadLetter(**{**fields, **changes})
