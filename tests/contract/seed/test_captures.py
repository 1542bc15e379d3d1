from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from pipeline.aggregation.catalogue import feeds
from schemas.event import decode
from tests.contract.seed.captures import CAPTURES, NOW, Capture, envelope


def decoded(event_type: str, properties: dict[str, Any], **more: Any) -> Any:
    """The event that is read of it, and its canonical properties."""
    result = decode([orjson.dumps(envelope(1, event_type, properties) | more)])
    assert not result.bad, result.bad
    return result.events[0], orjson.loads(result.properties[0])


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.call)
def test_each_call_of_the_document_is_read_under_canonical_names(capture: Capture) -> None:
    """The literal payload is an event of our type with our properties; ids move to the envelope; the name it was sent under is kept."""
    result = decode([orjson.dumps(envelope(1, capture.event_type, capture.sent))])
    assert not result.bad
    (event,) = result.events
    assert event is not None
    assert event["event_type"] == capture.stored_as
    assert orjson.loads(result.properties[0]) == capture.stored
    assert (event.get("user_id") or "", event.get("session_id") or "") == (capture.user_id, capture.session_id)
    assert result.source_names == ({} if capture.event_type == capture.stored_as else {0: capture.event_type})


@pytest.mark.parametrize("event_type", ["menu_generated", "recipe_viewed"])
def test_a_call_without_a_payload_is_refused_with_what_it_lacks(event_type: str) -> None:
    """The list of dashboard metrics names two events without payload; as an event each lacks what it is about."""
    bad = decode([orjson.dumps(envelope(1, event_type, {}))]).bad[0]
    assert bad.code == "missing_field"
    lacking = {"menu_generated": {"recipe_count", "restrictions", "generation_time_ms", "outcome"}, "recipe_viewed": {"recipe_id"}}
    assert {error.field for error in bad.errors} == {f"properties.{name}" for name in lacking[event_type]}


def test_the_time_of_a_success_is_no_duration() -> None:
    """`generation_time: Date.now()` is when it succeeded: the attempt is counted, and nothing is averaged with it."""
    event, properties = decoded("menu_generation_success", {"provider": "ollama", "user_id": "u-42", "generation_time": NOW})
    assert properties["timestamp"] == NOW
    assert not {"latency_ms", "generation_time", "generation_time_ms"} & properties.keys()
    assert feeds(event)[0] == ("provider_attempt", ("ollama", "success"), None)


@pytest.mark.parametrize("name", ["user_id", "userId"])
def test_an_id_of_the_envelope_wins(name: str) -> None:
    """An id among the properties is taken where the envelope has none, and is not kept beside one that it has."""
    event, properties = decoded("recipe_view", {"recipe_id": "r-1", name: "u-2"}, user_id="u-1")
    assert (event["user_id"], properties) == ("u-1", {"recipe_id": "r-1"})
    event, properties = decoded("recipe_view", {"recipe_id": "r-1", name: "u-2"}, user_id=None)
    assert (event["user_id"], properties) == ("u-2", {"recipe_id": "r-1"})


@pytest.mark.parametrize("name", ["session_id", "sessionId"])
def test_a_session_is_lifted_too(name: str) -> None:
    """Under either spelling; null is no session."""
    event, properties = decoded("recipe_view", {"recipe_id": "r-1", name: "s-2"})
    assert (event["session_id"], properties) == ("s-2", {"recipe_id": "r-1"})
    event, properties = decoded("recipe_view", {"recipe_id": "r-1", name: None})
    assert (event.get("session_id"), properties) == (None, {"recipe_id": "r-1"})


def test_ids_in_properties_are_seen_among_many_events() -> None:
    """In a chunk that is read in one call an id in the properties is lifted as it is alone."""
    values = [orjson.dumps(envelope(i, "recipe_view", {"recipe_id": "r-1"})) for i in range(50)]
    values[17] = json.dumps(envelope(17, "recipe_view", {"recipe_id": "r-1", "user_id": "u-42"})).encode()
    chunk = decode(values)
    assert [event and event.get("user_id") for event in chunk.events] == ["u-42" if i == 17 else None for i in range(50)]
    assert set(chunk.properties) == {b'{"recipe_id":"r-1"}'}


def test_an_id_of_the_wrong_kind_is_an_error_of_the_envelope() -> None:
    """A number lifted from the properties is refused where it now stands."""
    bad = decode([orjson.dumps(envelope(1, "recipe_view", {"recipe_id": "r-1", "userId": 42}))]).bad[0]
    assert [error.field for error in bad.errors] == ["user_id"]


def test_states_of_the_circuit_breaker_are_read_in_capitals() -> None:
    """CLOSED, OPEN and HALF_OPEN, as the document's breaker has them."""
    _, properties = decoded("circuit_state_changed", {"provider": "ollama", "from_state": "OPEN", "to_state": "HALF_OPEN"})
    assert properties == {"provider": "ollama", "from_state": "open", "to_state": "half_open"}
    _, properties = decoded("circuit_state_changed", {"provider": "ollama", "from_state": "half_open", "to_state": "CLOSED"})
    assert properties == {"provider": "ollama", "from_state": "half_open", "to_state": "closed"}
