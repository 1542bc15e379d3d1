from __future__ import annotations

import re

import pytest

from schemas.event import EVENT_TYPES
from schemas.generators.typescript import facts, type_of
from tests.unit.schemas.published import GENERATED, published

TEXT = (GENERATED / "events.d.ts").read_text("utf-8")
INTERFACES = dict(re.findall(r"export interface (\w+)(?: extends Envelope)? \{\n(.*?)\n\}", TEXT, re.DOTALL))


def test_union_has_every_event_type_once() -> None:
    """The members of TelemetryEvent are told apart by the constants of all event types."""
    (members,) = re.findall(r"export type TelemetryEvent =\n(.*?);", TEXT, re.DOTALL)
    tags = [re.findall(r'event_type: "(\w+)";', INTERFACES[name]) for name in re.findall(r"\| (\w+)", members)]
    assert [tag for (tag,) in tags] == list(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_properties_are_those_of_the_schema(event_type: str) -> None:
    """Every property is there, and is optional exactly where the schema does not require it."""
    schema = published(f"events/{event_type}")
    properties = schema["$defs"][schema["properties"]["properties"]["$ref"].removeprefix("#/$defs/")]
    fields = re.findall(r"(?m)^  (\w+)(\??):", INTERFACES[properties["title"]])
    assert [name for name, _ in fields] == list(properties["properties"])
    assert [name for name, optional in fields if not optional] == properties.get("required", [])


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        ({"$ref": "#/$defs/Source"}, "Source"),
        ({"const": "a", "type": "string"}, '"a"'),
        ({"enum": ["a", "b"], "type": "string"}, '"a" | "b"'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "number | null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'Array<"a" | "b">'),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "Record<string, boolean>"),
    ],
)
def test_type_of_a_schema(schema: dict[str, object], type_: str) -> None:
    """As TypeScript has it."""
    assert type_of(schema) == type_


def test_a_schema_without_a_type_is_refused() -> None:
    """A new kind of field is noticed here, not by whoever compiles against it."""
    with pytest.raises(ValueError, match="no TypeScript type"):
        type_of({"type": "object", "patternProperties": {}})


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"type": "number", "minimum": 0, "maximum": 5, "x-unit": "ms"}, "Milliseconds. 0 to 5."),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, "A whole number. At least 1."),
        ({"type": "string", "maxLength": 7}, "At most 7 characters."),
        ({"type": "integer", "const": 1}, ""),
        ({"type": "string", "format": "date-time"}, "ISO 8601 with its zone, such as 2026-11-23T10:00:00.123Z."),
    ],
)
def test_unit_and_bounds_are_said(field: dict[str, object], said: str) -> None:
    """In the words an editor shows."""
    assert facts(field) == said


def test_a_comment_cannot_end_itself() -> None:
    """Nothing of the schemas closes a comment early: what is left of the file without its comments is code."""
    code = re.sub(r"/\*\*.*?\*/", "", TEXT, flags=re.DOTALL)
    assert all(re.match(r"(//|export|type|\}|  [\w|]|$)", line) for line in map(str.rstrip, code.splitlines()))
