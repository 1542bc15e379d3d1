"""Events as a publisher would write them, for the tests of the gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

KNOWN_ID = "0198c0de-7a1b-7c3d-8e4f-00112233aabb"


def event(**fields: Any) -> dict[str, Any]:
    """A valid menu_generated event without ids; `fields` replace its own, and None takes one away."""
    document = {
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": "menu-api", "environment": "test"},
        "properties": {"recipe_count": 5, "restrictions": ["vegan"], "generation_time_ms": 1240.5, "outcome": "full"},
        **fields,
    }
    return {name: value for name, value in document.items() if value is not None}


def numbered_id(number: int) -> str:
    """A UUID that says which one it is."""
    return f"00000000-0000-7000-8000-{number:012x}"


def numbered_ids() -> Iterator[str]:
    """As many as one likes, from 0."""
    number = 0
    while True:
        yield numbered_id(number)
        number += 1


def json_bytes(document: Any) -> bytes:
    """Written by the standard library, with its spaces and escapes: not by what the gateway uses."""
    return json.dumps(document).encode()
