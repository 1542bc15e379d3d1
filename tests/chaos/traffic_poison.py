"""What is no event, of every kind, each recognisable by its tag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from tests.chaos.sent import Item
from tests.chaos.traffic_events import Events, isoformat

_Make = Callable[[dict[str, Any]], bytes | None]


def _changed(**fields: Any) -> _Make:
    return lambda event: orjson.dumps(event | fields)


def _without(name: str) -> _Make:
    return lambda event: orjson.dumps({key: value for key, value in event.items() if key != name})


def _number(text: bytes) -> _Make:
    """The event with a number that JSON libraries disagree about."""
    return lambda event: orjson.dumps(event).replace(b"123456.5", text)


_KINDS: Final[dict[str, _Make]] = {
    "invalid_utf8": lambda event: orjson.dumps(event)[:-1] + b',"more":"\xff\xfe"}',
    "broken_json": lambda event: orjson.dumps(event)[:-1],
    "two_events": lambda event: orjson.dumps(event) + b"," + orjson.dumps(event),
    "half_an_array": lambda event: b"[" + orjson.dumps(event),
    "scalar": lambda event: orjson.dumps(event["source"]["service"]),
    "array": lambda event: orjson.dumps([event]),
    "unknown_type": _changed(event_type="menu_burnt"),
    "unknown_version": _changed(schema_version=2),
    "missing_field": _without("occurred_at"),
    "no_properties": _without("properties"),
    "year_9999": _changed(occurred_at="9999-12-31T23:59:59.999Z"),
    "year_1": _changed(occurred_at="0001-01-01T00:00:00Z"),
    "no_zone": _changed(occurred_at="2026-11-23T10:00:00"),
    "not_an_id": _changed(event_id="42"),
    "nul": _changed(user_id="u-\x00"),
    "nan": _number(b"NaN"),
    "infinity": _number(b"-Infinity"),
    "huge_integer": _number(b"9" * 400),
    "lone_surrogate": lambda event: orjson.dumps(event).replace(b'"vegan"', b'"\\ud800"'),
    "deep": lambda event: orjson.dumps(event)[:-1] + b',"more":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
}
#: An empty line of NDJSON is no event at all, so these come by Kafka only; their tag is in the key.
_WITHOUT_CONTENT: Final[dict[str, bytes | None]] = {"empty": b"", "blank": b"  ", "no_value": None}

GATEWAY_KINDS: Final = tuple(_KINDS)
KAFKA_KINDS: Final = (*_KINDS, *_WITHOUT_CONTENT)


def poison_item(kind: str, number: int, events: Events, now_ms: int) -> Item:
    """The `number`-th item of poison; `kind` is one of KAFKA_KINDS."""
    tag = f"chaos-poison-{number}"
    event = {
        "event_id": events.new_id(),
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": isoformat(now_ms),
        "source": {"service": tag, "environment": "chaos"},
        "properties": {"recipe_count": 1, "restrictions": ["vegan"], "generation_time_ms": 123456.5, "outcome": "full"},
    }
    value = _WITHOUT_CONTENT[kind] if kind in _WITHOUT_CONTENT else _KINDS[kind](event)
    return Item(tag, "poison", tag.encode(), value, kind)
