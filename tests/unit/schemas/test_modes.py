from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas import modes
from schemas.event import decode, decode_one
from schemas.modes import mode_of

GOOD = {
    "event_id": "0198c0de-7a1b-7c3d-8e4f-00112233aabb",
    "event_type": "menu_generated",
    "schema_version": 1,
    "occurred_at": "2026-11-23T10:00:00.123Z",
    "source": {"service": "menu-api", "environment": "test"},
    "user_id": "u-1",
    "properties": {"recipe_count": 5, "restrictions": ["vegan"], "generation_time_ms": 1240.5, "outcome": "full"},
}
BROKEN = {"recipe_count": "five", "outcome": "perhaps", "generation_time_ms": 7}


def sent(**fields: Any) -> bytes:
    return orjson.dumps(GOOD | fields)


@pytest.fixture(params=["observe", "warn"])
def lenient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """menu_generated is observed or warned, everything else enforced."""
    monkeypatch.setattr(modes, "MODES", {"menu_generated": request.param})
    return str(request.param)


def test_every_type_is_enforced_that_the_table_does_not_name() -> None:
    """A name that nobody knows is, too."""
    assert mode_of("menu_generated") == mode_of("nonsense") == mode_of("") == "enforce"


def test_an_enforced_type_refuses_with_all_that_is_wrong() -> None:
    """Each violation is one error with its field."""
    bad = decode([sent(properties=BROKEN)]).bad[0]
    assert [error.field for error in bad.errors] == ["properties.recipe_count", "properties.restrictions", "properties.outcome"]


def test_a_lenient_type_keeps_what_was_sent_and_says_what_is_wrong(lenient: str) -> None:
    """The event is one, with the properties it came with; its neighbours are as they are without it."""
    decoded = decode([sent(), sent(properties=BROKEN), sent()])
    assert decoded.bad == {}
    assert list(decoded.violations) == [1]
    violation = decoded.violations[1]
    assert [error.field for error in violation.errors] == ["properties.recipe_count", "properties.restrictions", "properties.outcome"]
    assert (violation.event_id, violation.event_type, violation.service) == (GOOD["event_id"], "menu_generated", "menu-api")
    assert orjson.loads(decoded.properties[1]) == BROKEN
    event = decoded.events[1]
    assert event is not None
    assert event["user_id"] == "u-1"
    assert mode_of("menu_generated") == lenient


def test_a_lenient_type_reads_the_seeds_names(lenient: str) -> None:
    """What breaks the schema is judged, and stored, under our names."""
    one = decode_one(sent(properties={"recipeCount": 5, "generationTime": -1, "success": True}))
    assert not hasattr(one, "code")
    assert orjson.loads(one.properties) == {"recipe_count": 5, "generation_time_ms": -1, "outcome": "full"}
    assert one.violation is not None
    assert [error.field for error in one.violation.errors] == ["properties.restrictions", "properties.generation_time_ms"]


@pytest.mark.parametrize(
    ("fields", "code", "wrong"),
    [
        ({"occurred_at": "yesterday", "properties": BROKEN}, "invalid_field", {"occurred_at", "properties.outcome"}),
        ({"schema_version": 2, "properties": BROKEN}, "unknown_schema_version", {"schema_version", "properties.outcome"}),
        ({"properties": [BROKEN]}, "invalid_field", {"properties"}),
        ({"properties": None}, "invalid_field", {"properties"}),
        ({"properties": {"outcome": "a\u0000b"}}, "control_character", {"properties.outcome"}),
        ({"user_id": "undefined", "properties": BROKEN}, "malformed_user_id", {"user_id"}),
        ({"event_type": "recipe_view", "properties": BROKEN}, "missing_field", {"properties.recipe_id"}),
        ({"event_type": "nonsense"}, "unknown_event_type", {"event_type"}),
        ({"event_type": ["menu_generated"]}, "unknown_event_type", {"event_type"}),
    ],
)
def test_a_lenient_type_forgives_nothing_but_its_properties(lenient: str, fields: dict[str, Any], code: str, wrong: set[str]) -> None:
    """A broken envelope, properties that are no object, text that cannot be stored and other types are refused as ever."""
    decoded = decode([sent(**fields)])
    assert decoded.violations == {}
    assert decoded.bad[0].code == code
    assert {error.field for error in decoded.bad[0].errors} >= wrong
    assert lenient != "enforce"


def test_a_number_that_would_not_come_back_is_refused(lenient: str) -> None:
    """An integer beyond 64 bits among broken properties is no event, whatever the mode."""
    value = sent(properties={"outcome": "?", "n": 1}).replace(b'"n":1', b'"n":%d' % 2**70)
    assert decode([value]).bad[0].code == "number_out_of_range"
    assert lenient != "enforce"
