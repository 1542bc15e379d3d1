from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.dead_letter import DeadLetter, DeadLetterHeaders
from schemas.event import EVENT_TYPES, decode
from schemas.seed_names import canonicalise
from schemas.topics import PREFIX, TOPICS
from tests.unit.schemas.published import GENERATED, examples, names, published, schema_of, validator

#: What is wrong with these no schema can say: see the docstring of `schemas.generators.json_schemas`.
UNSAID = re.compile(r".*/control_character--|menu_generated/invalid/invalid_field--occurred_at")
#: A value of each kind, and at the edges of what is allowed anywhere.
VALUES: list[Any] = [None, "", "x", "x" * 9_000, -1, 0, 1, 0.5, 1e12, True, [], {}, ["x"], {"x": "y"}]
#: Numbers that name times and sizes of nothing: counts, places, stars, codes, and what has its unit in another field.
UNITLESS = {
    *("recipe_count", "position", "attempt", "step", "rating", "score", "accuracy_score", "status_code", "count", "schema_version"),
    *("web_vital.value", "web_vital.delta", "db_sample.value"),
}
UNITS = ("_ms", "_s", "_bytes", "_ratio", "_cents")


def of_name(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=lambda path: f"{path.parts[-3]}/{path.stem}")


def test_there_is_one_for_every_topic_and_every_event_type() -> None:
    """Values of all topics, the headers of dead letters, and each event type on its own."""
    topics = {topic.name.removeprefix(PREFIX) for topic in TOPICS}
    assert set(names()) == (topics - {"dlq.v1"}) | {"dlq.v1.headers"} | {f"events/{name}" for name in EVENT_TYPES}


@pytest.mark.parametrize("name", names())
def test_each_is_a_schema_that_stands_for_itself(name: str) -> None:
    """Draft 2020-12, with an id of its own, and nothing but references into itself."""
    schema = published(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:nutricoach:telemetry:{name.replace('/', ':')}"
    references = re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema))
    assert all(reference.removeprefix("#/$defs/") in schema["$defs"] for reference in references)


def test_ids_are_different() -> None:
    """No two schemas answer to one id."""
    assert len({published(name)["$id"] for name in names()}) == len(names())


@of_name(examples("valid"))
def test_valid_examples_are_valid(path: Path) -> None:
    """Every valid example, under canonical names, and those of events against the union too."""
    document = canonicalise(json.loads(path.read_bytes()))
    validator(schema_of(path)).validate(document)
    if schema_of(path).startswith("events/"):
        validator("events.v1").validate(document)


@of_name(examples("invalid"))
def test_invalid_examples_are_invalid(path: Path) -> None:
    """Every invalid example, but for what a schema cannot say."""
    document = canonicalise(json.loads(path.read_bytes()))
    assert validator(schema_of(path)).is_valid(document) == bool(UNSAID.match("/".join(path.parts[-3:])))


def changed(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies of an event with one field of it, at any depth, removed or of another value."""
    for path in [*document.keys(), *((outer, name) for outer in ("source", "properties", "trace") for name in document.get(outer, ()))]:
        outer, name = path if isinstance(path, tuple) else ("", path)
        for value in ("removed", *VALUES):
            if (name, value) == ("schema_version", 1):  # as it was; and True is 1 to the one, not to the other
                continue
            other = copy.deepcopy(document)
            place = other[outer] if outer else other
            if value == "removed":
                del place[name]
            else:
                place[name] = value
            yield f"{outer}.{name} = {str(value)[:20]}", other


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_schema_and_gateway_agree(event_type: str) -> None:
    """Whatever one field of an event is changed to, the schema refuses it exactly when `decode`, which everybody uses, does."""
    example = json.loads((GENERATED.parent / "examples" / event_type / "valid" / "whole.json").read_bytes())
    cases = list(changed(example))
    decoded = decode([json.dumps(document).encode() for _, document in cases])
    judged = {what: validator(f"events/{event_type}").is_valid(document) for what, document in cases}
    accepted = {
        what: event is not None and i not in decoded.violations
        for i, ((what, _), event) in enumerate(zip(cases, decoded.events, strict=True))
    }
    assert judged == accepted
    assert len(set(accepted.values())) == 2


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_numbers_have_their_unit_in_their_name(event_type: str) -> None:
    """A number ends in its unit, and the schema repeats it; a whole list of names counts or rates and has none."""
    schema = published(f"events/{event_type}")
    properties = schema["$defs"][schema["properties"]["properties"]["$ref"].removeprefix("#/$defs/")]["properties"]
    for name, field in properties.items():
        if {"number", "integer"} & {one.get("type") for one in (field, *field.get("anyOf", []))}:
            unit = next((unit for unit in UNITS if name.endswith(unit)), "")
            assert field.get("x-unit", "") == unit.removeprefix("_")
            assert unit or {name, f"{event_type}.{name}"} & UNITLESS, f"{event_type}.{name} does not say its unit"


def test_a_duration_has_a_bound() -> None:
    """No time is believed whatever it is: every field in ms of every event type has a least and a greatest value."""
    unbounded = [
        f"{name}.{field}"
        for name in EVENT_TYPES
        for definition in published(f"events/{name}")["$defs"].values()
        for field, described in definition["properties"].items()
        if "x-unit" in described and not all(bound in json.dumps(described) for bound in ('"minimum"', '"maximum"'))
    ]
    assert unbounded == []


def test_what_others_read_is_always_there() -> None:
    """A consumer may count on every field of what the pipeline writes."""
    for name in ("alerts.v1", "escalations.v1", "panes.v1", "deliveries.v1", "decisions.v1"):
        for schema in (published(name), *published(name).get("$defs", {}).values()):
            assert sorted(schema["required"]) == sorted(schema["properties"])


def test_headers_of_dead_letters_are_those_that_are_written() -> None:
    """The described headers and those of a dead letter have the same names, and written ones are valid."""
    letter = DeadLetter("t", 0, 1, 2, "invalid_json", "r", "", "", "", None, b"", attempts=1, origin="t/0/0")
    written = {name: text.decode() for name, text in letter.headers()}
    assert set(written) == set(DeadLetterHeaders.__annotations__) == set(published("dlq.v1.headers")["properties"])
    validator("dlq.v1.headers").validate(written)
