from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.event import EVENT_TYPES, MAX_VALUE_BYTES, decode, decode_one

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
VALID = [path for name in EVENT_TYPES for path in sorted((EXAMPLES / name / "valid").glob("*.json"))]
INVALID = [path for name in EVENT_TYPES for path in sorted((EXAMPLES / name / "invalid").glob("*.json"))]


def view(number: int, **properties: Any) -> dict[str, Any]:
    return {
        "event_id": f"00000000-0000-7000-8000-{number:012d}",
        "event_type": "recipe_view",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": "web", "environment": "test"},
        "user_id": "u-1",
        "properties": {"recipe_id": "r-1", **properties},
    }


def test_every_event_type_has_examples_of_both_kinds() -> None:
    """An event type without a valid and an invalid example is not finished."""
    for name in EVENT_TYPES:
        assert list((EXAMPLES / name / "valid").glob("*.json")), name
        assert list((EXAMPLES / name / "invalid").glob("*.json")), name


@pytest.mark.parametrize("path", VALID, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_valid_examples_are_events(path: Path) -> None:
    """A valid example decodes to an event of the type its folder names."""
    decoded = decode([path.read_bytes()])
    assert not decoded.bad
    event = decoded.events[0]
    assert event is not None
    assert event["event_type"] == path.parts[-3]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_invalid_examples_name_code_and_field(path: Path) -> None:
    """An invalid example is refused with the code and the field that its file name says."""
    code, field = path.stem.split("--")
    bad = decode([path.read_bytes()]).bad[0]
    assert bad.code == code
    assert [error.field for error in bad.errors] == [field]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\xff\xfe", "invalid_utf8"),
        (b'{"event_type":', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "invalid_json"),
        (b"42", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"[]", "not_an_object"),
        (b"{}", "unknown_event_type"),
        (orjson.dumps(view(1)).replace(b'"r-1"', b"NaN"), "invalid_json"),
        (orjson.dumps(view(1, extra=1)).replace(b":1}", b":NaN}"), "invalid_json"),
        (orjson.dumps(view(1, extra=1)).replace(b":1}", b":-Infinity}"), "invalid_json"),
        (orjson.dumps(view(1) | {"extra": [1]}).replace(b"[1]", b"[0,Infinity]"), "invalid_json"),
        (orjson.dumps(view(1)).replace(b'"r-1"', b'"\\ud800"'), "invalid_json"),
        (orjson.dumps(view(1)).replace(b'"r-1"', b'"\\u0000"'), "control_character"),
        (orjson.dumps(view(1, extra="x")).replace(b'"x"', b"123456789012345678901234567890"), "number_out_of_range"),
        (orjson.dumps(view(1, time_spent_ms=1)).replace(b":1}", b":123456789012345678901234567890}"), "invalid_field"),
        (orjson.dumps(view(1, extra="x")).replace(b'"x"', b"1e400"), "number_out_of_range"),
        (orjson.dumps(view(1, extra="x")).replace(b'"x"', b"9" * 5_000), "invalid_json"),
        (orjson.dumps(view(1, timeSpent="x")).replace(b'"x"', b"-1e400"), "invalid_field"),
        (orjson.dumps(view(1) | {"userId": "u-1", "flags": "x"}).replace(b'"x"', b"1e400"), "invalid_field"),
        (orjson.dumps(view(1, recipeId="x", extra="@")).replace(b'"@"', b"123456789012345678901234567890"), "number_out_of_range"),
        (orjson.dumps(view(1, note="x" * MAX_VALUE_BYTES)), "too_large"),
        (orjson.dumps(view(1)).replace(b"2026-11-23", b"9999-11-23"), "invalid_field"),
        (orjson.dumps(view(1)).replace(b"2026-11-23", b"0001-11-23"), "invalid_field"),
    ],
)
def test_poison_has_its_reason_and_leaves_its_neighbours_alone(value: bytes, code: str) -> None:
    """Whatever stands between two good events, it is refused with a code and they are read."""
    decoded = decode([orjson.dumps(view(1)), value, orjson.dumps(view(3))])
    assert [event is not None for event in decoded.events] == [True, False, True]
    assert decoded.bad[1].code == code
    assert decoded.bad[1].reason


def test_in_a_long_chunk_everything_keeps_its_place() -> None:
    """Among a thousand events two are bad and one has a name of the seed: they are reported where they stand, the others are read."""
    values = [orjson.dumps(view(i)) for i in range(1_000)]
    values[0] = values[700] = b"{}"
    values[701] = orjson.dumps(view(701) | {"event_type": "recipe_viewed"})
    decoded = decode(values)
    ids = [event["event_id"] if event else None for event in decoded.events]
    assert ids == [None if i in (0, 700) else view(i)["event_id"] for i in range(1_000)]
    assert list(decoded.bad) == [0, 700]
    assert decoded.source_names == {701: "recipe_viewed"}
    assert [len(text) > 0 for text in decoded.properties] == [event is not None for event in decoded.events]


def test_values_that_only_together_are_json_shift_nobody() -> None:
    """Two events in one value and one event cut in two add up to the right number, and are still refused in their own places."""
    first, second, third, good = (json.dumps(view(i)) for i in range(4))
    half = third.index('"user_id"')
    values = [f"{first},{second}", good, third[: half - 2], third[half:]]
    decoded = decode([value.encode() for value in values])
    assert [event is not None for event in decoded.events] == [False, True, False, False]
    assert decoded.events[1] is not None
    assert decoded.events[1]["event_id"] == view(3)["event_id"]


def test_a_shift_hidden_in_strings_is_seen() -> None:
    """Values that begin and end like objects but share a string between them cannot trade places with a good event."""
    outer = json.dumps(view(1, note="@"))
    left, right = outer.split("@")
    values = [f"{json.dumps(view(2))},{json.dumps(view(3))}".encode(), orjson.dumps(view(4)), left.encode() + b"}", b"{" + right.encode()]
    decoded = decode(values)
    assert [event is not None for event in decoded.events] == [False, True, False, False]


def test_a_shift_with_the_neighbours_own_id_is_seen() -> None:
    """Two events in one value, the second with the neighbour's id, and one event in two values: the neighbour keeps its place."""
    good = view(5)
    left, right = json.dumps(view(3, also=good["event_id"], cut=["@"])).split('"@"')
    forged = f"{json.dumps(view(1))},{json.dumps(view(5, evil=True))}"
    closing = f'{{}}{right[:-1]},"again":"{view(3)["event_id"]}"}}'
    decoded = decode([value.encode() for value in (forged, json.dumps(good), left + "{}", closing)])
    assert [event is not None for event in decoded.events] == [False, True, False, False]
    assert decoded.properties[1] == b'{"recipe_id":"r-1"}'


def test_one_event_in_two_values_is_no_event() -> None:
    """Beside each other or apart, a value means the same: halves that would fit together stay halves."""
    left, right = json.dumps(view(3, cut=["@"])).split('"@"')
    decoded = decode([f"{json.dumps(view(1))},{left}{{}}".encode(), f"{{}}{right}".encode()])
    assert decoded.events == [None, None]


def test_a_hundred_thousand_bad_flags_are_one_error() -> None:
    """The number of flags is looked at before the flags: an error for each would be 130 MB."""
    bad = decode([orjson.dumps(view(1) | {"flags": {str(number): 1 for number in range(65)}})]).bad[0]
    assert [(error.field, error.message) for error in bad.errors] == [("flags", "At most 64 flags are taken, not 65")]


@pytest.mark.parametrize(
    ("fields", "path"), [({"flags": {"a": 1, "b": 2}}, "flags"), ({"properties": {"restrictions": [1, 2]}}, "properties.restrictions.0")]
)
def test_many_bad_entries_are_one_error(fields: dict[str, Any], path: str) -> None:
    """A thousand events with a hundred errors each would hold everybody up for a second."""
    menu = {"recipe_count": 1, "restrictions": [], "generation_time_ms": 5, "outcome": "full"}
    sent = view(1) | {"event_type": "menu_generated"} | fields | {"properties": menu | fields.get("properties", {})}
    assert [error.field for error in decode([orjson.dumps(sent)]).bad[0].errors] == [path]


def test_a_reason_is_one_line_of_text() -> None:
    """What a sender puts into ids and names reaches neither a terminal nor a log as control characters or line ends."""
    sent = view(1) | {"event_id": "a\x1b[31m\nb", "source": {"service": "x\0y"}, "flags": {"k\n\x07": "v" * 201}}
    bad = decode([json.dumps(sent).encode()]).bad[0]
    assert (bad.event_id, bad.service) == ("a[31m\nb", "xy")
    assert "flags.k : String should have at most 200 characters" in bad.reason


def test_seed_spellings_are_stored_under_canonical_names() -> None:
    """A seed event keeps the name it was sent under beside its canonical form."""
    sent = view(1) | {"event_type": "recipe_viewed", "properties": {"recipeId": "r-9", "timeSpent": 1500}}
    decoded = decode([orjson.dumps(sent)])
    event = decoded.events[0]
    assert event is not None
    assert (event["event_type"], event["properties"]) == ("recipe_view", {"recipe_id": "r-9", "time_spent_ms": 1500})
    assert decoded.source_names == {0: "recipe_viewed"}


def test_a_field_nobody_reads_may_hold_any_number_under_either_spelling() -> None:
    """An integer of 400 digits beside the fields of the envelope refuses an event neither with `user_id` nor with `userId`."""
    own = orjson.dumps(view(1) | {"newer": "@"}).replace(b'"@"', b"9" * 400)
    assert not decode([own]).bad
    assert not decode([own.replace(b"user_id", b"userId")]).bad


def test_success_becomes_an_outcome() -> None:
    """The seed's boolean is the outcome full or failed; an outcome that is present wins."""
    sent = view(1) | {"event_type": "menu_generated"}
    properties = {"recipe_count": 1, "restrictions": [], "generation_time_ms": 5}
    one = decode_one(orjson.dumps(sent | {"properties": properties | {"success": False}}))
    assert isinstance(one, tuple)
    assert one[0]["properties"]["outcome"] == "failed"  # type: ignore[typeddict-item]  # it is a menu_generated


def test_upper_case_ids_are_read_in_lower_case() -> None:
    """An event id is one id however its hexadecimal digits are written."""
    sent = view(1) | {"event_id": "0198ABCD-0000-7000-8000-00000000000F"}
    event = decode([orjson.dumps(sent)]).events[0]
    assert event is not None
    assert event["event_id"] == "0198abcd-0000-7000-8000-00000000000f"


def test_properties_are_canonical() -> None:
    """The same properties in another order and spacing have the same canonical JSON."""
    one = orjson.dumps(view(1, a=1, b=2))
    other = json.dumps(view(1, b=2, a=1), indent=2).encode()
    assert decode([one]).properties == decode([other]).properties == [b'{"a":1,"b":2,"recipe_id":"r-1"}']
