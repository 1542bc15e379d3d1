"""TypeScript types of the events: one union, told apart by `event_type`, with units and bounds where an editor shows them."""

from __future__ import annotations

import json
from typing import Final

from schemas.event import EVENT_TYPES
from schemas.generators.documents import named_schemas
from schemas.generators.json_schemas import JsonSchema

_HEAD: Final = "// Made from schemas/ by `python -m schemas.generate`: change it there."
_TAIL: Final = """\
export type TelemetryEvent =
{union};

export type EventType = TelemetryEvent["event_type"];

/** The properties of an event type: PropertiesOf<"web_vital">. */
export type PropertiesOf<T extends EventType> = Extract<TelemetryEvent, {{ event_type: T }}>["properties"];

/** What POST /v1/events takes: an event without event_id gets one. With one of its own, a retry is the same event. */
export type SentEvent = WithOptionalId<TelemetryEvent>;
type WithOptionalId<E> = E extends TelemetryEvent ? Omit<E, "event_id"> & Partial<Pick<E, "event_id">> : never;
"""
_SCALARS: Final = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_UNIT_WORDS: Final = {"ms": "Milliseconds", "s": "Seconds", "bytes": "Bytes", "ratio": "Ratio, 1 is all", "cents": "Cents"}
#: Of each event type their own; all others belong to the envelope.
_OWN: Final = ("event_type", "properties")


def typescript(schemas: dict[str, JsonSchema]) -> str:
    """The text of `events.d.ts`.

    Args:
        schemas: as `json_schemas()` returns them.

    Raises:
        ValueError: A schema has something that no type is known for.
    """
    events = [schemas[f"events/{name}"] for name in EVENT_TYPES]
    titles = {event["title"] for event in events}
    parts = {name: one for name, one in named_schemas({"events.v1": schemas["events.v1"]}, "").items() if name not in titles}
    blocks = [_HEAD, _envelope(events[0]), *(_interface(name, one) for name, one in parts.items())]
    for event in events:
        own = {**event, "properties": {name: event["properties"][name] for name in _OWN}}
        blocks.append(_interface(f"{event['title']} extends Envelope", own))
    union = "\n".join(f"  | {event['title']}" for event in events)
    return "\n\n".join((*blocks, _TAIL.format(union=union)))


def _envelope(event: JsonSchema) -> str:
    common = {name: field for name, field in event["properties"].items() if name not in _OWN}
    return _interface("Envelope", {**event, "properties": common, "description": "What every event has around its properties."})


def _interface(name: str, schema: JsonSchema) -> str:
    lines = [*_comment(schema.get("description", ""), ""), f"export interface {name} {{"]
    for field, described in schema["properties"].items():
        lines += _comment(facts(described), "  ")
        lines.append(f"  {field}{'' if field in schema.get('required', ()) else '?'}: {type_of(described)};")
    return "\n".join((*lines, "}"))


def _comment(text: str, indent: str) -> list[str]:
    lines = text.replace("*/", "*\\/").splitlines()
    if len(lines) < 2:
        return [f"{indent}/** {lines[0]} */"] if lines else []
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */"]


def type_of(schema: JsonSchema) -> str:
    """The TypeScript type of a schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " | ".join(type_of(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"Array<{type_of(schema['items'])}>"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"Record<string, {type_of(schema['additionalProperties'])}>"
    if schema.get("type") in _SCALARS:
        return _SCALARS[schema["type"]]
    raise ValueError(f"no TypeScript type for {schema}")


def facts(field: JsonSchema) -> str:
    """Unit and bounds of a field, a sentence each, '' when there is nothing to say."""
    said = [_UNIT_WORDS[field["x-unit"]] + "."] if "x-unit" in field else []
    for one in (field, *field.get("anyOf", ())):
        if one.get("type") == "integer" and "const" not in one:
            said.append("A whole number.")
        said += _bounds(one)
    return " ".join(said)


def _bounds(one: JsonSchema) -> list[str]:
    if one.get("format") == "date-time":
        return ["ISO 8601 with its zone, such as 2026-11-23T10:00:00.123Z."]
    if "pattern" in one:
        return [f"Matches {one['pattern']}"]
    said = []
    for what, low, high in (
        ("", "minimum", "maximum"),
        (" characters", "minLength", "maxLength"),
        (" values", "minItems", "maxItems"),
        (" names", "minProperties", "maxProperties"),
    ):
        if low in one and high in one:
            said.append(f"{one[low]} to {one[high]}{what}.")
        elif low in one or high in one:
            said.append(f"At {'least' if low in one else 'most'} {one[low] if low in one else one[high]}{what}.")
    return said
