from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Decoded, decode
from schemas.seed_names import canonicalise

POISON = b'{"event_type":"menu_generated"}'
IDS = st.uuids().map(str)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


def _event(event_type: str, properties: dict[str, Any], extra: dict[str, Any], more: dict[str, Any], event_id: str) -> bytes:
    document = {
        "event_id": event_id,
        "event_type": event_type,
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": "menu-api", "environment": "test"},
        "properties": {**properties, **extra},
        **more,
    }
    return json.dumps(document, ensure_ascii=False).encode()


MENU = {"recipe_count": 5, "restrictions": ["vegan"], "generation_time_ms": 1.5, "outcome": "full"}
EVENTS = st.builds(
    _event,
    st.sampled_from(["menu_generated", "recipe_view", "recipe_viewed"]),
    st.just({**MENU, "recipe_id": "r-1"}),
    st.dictionaries(
        st.sampled_from(["menuId", "timeSpent", "time_spent", "recipeId", "success", "other", "provider"]), TEXT | st.just(5), max_size=2
    ),
    st.dictionaries(st.sampled_from(["userId", "user_id", "sessionId", "session_id", "eventId", "occurredAt", "extra"]), TEXT, max_size=2),
    IDS,
)


def _at(decoded: Decoded, place: int) -> tuple[Any, ...]:
    return decoded.events[place], decoded.properties[place], decoded.bad.get(place), decoded.source_names.get(place)


@given(st.lists(EVENTS, min_size=1, max_size=6))
def test_an_event_means_the_same_whoever_stands_beside_it(values: list[bytes]) -> None:
    """Decoded together, alone, or beside poison: the same event, the same canonical properties, the same reason."""
    together, beside_poison = decode(values), decode([*values, POISON])
    for place, value in enumerate(values):
        assert _at(together, place) == _at(beside_poison, place) == _at(decode([value]), 0)


@given(EVENTS)
def test_no_name_of_the_seed_is_lost(value: bytes) -> None:
    """What an event says about its user and session is stored, under whichever name it was sent."""
    event = decode([value]).events[0]
    canonical = canonicalise(json.loads(value))
    if event is not None:
        assert (event.get("user_id"), event.get("session_id")) == (canonical.get("user_id"), canonical.get("session_id"))
