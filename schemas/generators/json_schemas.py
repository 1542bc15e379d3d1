"""JSON Schema (draft 2020-12) of every event type and of the value, or the headers, of every topic.

A schema says what a schema can say. What it cannot: that an id was seen before, that a string has no control characters, that an
instant lies between 1990 and 2100. The gateway (`?dry_run=1`) and `telemetry validate` say all of it.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas import topics
from schemas.alert import Alert
from schemas.command import Command
from schemas.dead_letter import DeadLetterHeaders
from schemas.decision import Decision
from schemas.delivery import Delivery
from schemas.escalation import Escalation
from schemas.event import EVENT_TYPES, Event
from schemas.pane import Flush
from schemas.topics import Topic

JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: How a number's name ends → its unit, as `x-unit` in the schema.
UNITS: Final = {"_ms": "ms", "_s": "s", "_bytes": "bytes", "_ratio": "ratio", "_cents": "cents"}
#: The value of a dead letter is whatever its source had; what is known of it are its headers.
DEAD_LETTER_HEADERS: Final = "dlq.v1.headers"

#: What others write: a field with a default may be left out.
_SENT: Final[tuple[tuple[Topic, Any], ...]] = ((topics.EVENTS, Event), (topics.COMMANDS, Command))
#: What others read: every field is always there.
_READ: Final[tuple[tuple[Topic, Any], ...]] = (
    (topics.PANES, Flush),
    (topics.ALERTS, Alert),
    (topics.ESCALATIONS, Escalation),
    (topics.DELIVERIES, Delivery),
    (topics.DECISIONS, Decision),
)


def json_schemas() -> dict[str, JsonSchema]:
    """Name, such as `alerts.v1`, `dlq.v1.headers` or `events/menu_generated` → schema. Each stands for itself."""
    found = {f"events/{name}": _schema(f"events/{name}", event, _Sent) for name, event in EVENT_TYPES.items()}
    for generator, types in ((_Sent, _SENT), (_Read, _READ)):
        found |= {short_name(topic): _schema(short_name(topic), type_, generator) for topic, type_ in types}
    return found | {DEAD_LETTER_HEADERS: _schema(DEAD_LETTER_HEADERS, DeadLetterHeaders, _Sent)}


def short_name(topic: Topic) -> str:
    """`events.v1`: the topic without the prefix that all have."""
    return topic.name.removeprefix(topics.PREFIX)


def _schema(name: str, type_: Any, generator: type[GenerateJsonSchema]) -> JsonSchema:
    schema = TypeAdapter(type_).json_schema(schema_generator=generator)
    _mark_units(schema)
    return {"$schema": DIALECT, "$id": f"urn:nutricoach:telemetry:{name.replace('/', ':')}", **schema}


def _mark_units(schema: Any) -> None:
    if isinstance(schema, list):
        for one in schema:
            _mark_units(one)
    if not isinstance(schema, dict):
        return
    for name, field in schema.get("properties", {}).items():
        unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), None)
        if unit is not None and is_number(field):
            field["x-unit"] = unit
    for one in schema.values():
        _mark_units(one)


def is_number(field: JsonSchema) -> bool:
    """Whether a number is among the values of a field."""
    return any(one.get("type") in ("number", "integer") for one in (field, *field.get("anyOf", ())))


class _Sent(GenerateJsonSchema):
    """Titles only where there is a name to say; what a discriminated union needs, in terms of JSON Schema alone."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """`discriminator` means one thing in OpenAPI and another in AsyncAPI: a required constant says as much."""
        union = super().tagged_union_schema(schema)
        name = union.pop("discriminator")["propertyName"]
        for choice in union["oneOf"]:
            described = self.get_schema_from_definitions(choice["$ref"]) or choice
            described["required"] = list(dict.fromkeys((*described.get("required", ()), name)))
        return union

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """The names of a JSON object are strings: numbers are written in decimal."""
        described = super().dict_schema(schema)
        if schema.get("keys_schema", {}).get("type") == "int":
            described["propertyNames"] = {"pattern": "^-?[0-9]+$"}
        return described


class _Read(_Sent):
    def field_is_required(self, field: Any, total: bool) -> bool:
        return True
