from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from schemas.comparison import Break, compare
from tests.unit.schemas.published import published

#: Changes a copy of the schemas of all topics in place.
Change = Callable[[dict[str, Any]], object]

#: Two event types are enough, and quicker to copy than all of them.
EVENTS = ("MenuGenerated", "MenuGeneratedProperties", "Payment", "PaymentProperties", "Source", "Trace")
MENU = "events.v1 menu_generated.properties"


def topics() -> dict[str, Any]:
    others = ("commands.v1", "panes.v1", "alerts.v1", "escalations.v1", "dlq.v1.headers")
    events = {**published("events.v1"), "$defs": {name: published("events.v1")["$defs"][name] for name in EVENTS}}
    events["oneOf"] = [{"$ref": "#/$defs/MenuGenerated"}, {"$ref": "#/$defs/Payment"}]
    return copy.deepcopy({"events.v1": events, **{name: published(name) for name in others}})


def definition(schemas: dict[str, Any], topic: str, name: str) -> Any:
    return schemas[topic]["$defs"][name]


def menu(schemas: dict[str, Any], name: str = "") -> Any:
    """A property of menu_generated, or all of them; without the null that an optional one may be."""
    properties = definition(schemas, "events.v1", "MenuGeneratedProperties")
    field = properties["properties"].get(name, properties)
    return field["anyOf"][0] if "anyOf" in field else field


def payment(schemas: dict[str, Any], name: str) -> Any:
    """A field of the envelope of payment."""
    return definition(schemas, "events.v1", "Payment")["properties"][name]


def alert(schemas: dict[str, Any], name: str) -> Any:
    return schemas["alerts.v1"]["properties"][name]


def pane(schemas: dict[str, Any], name: str) -> Any:
    return definition(schemas, "panes.v1", "Pane")["properties"][name]


def remove(schema: dict[str, Any], name: str) -> Any:
    if name in schema["required"]:
        schema["required"].remove(name)
    return schema["properties"].pop(name)


def rename(schema: dict[str, Any], name: str, other: str) -> None:
    schema["properties"][other] = remove(schema, name)
    schema["required"].append(other)


def allow_null(schema: dict[str, Any], name: str) -> None:
    schema["properties"][name] = {"anyOf": [schema["properties"][name], {"type": "null"}]}


def retype(schema: dict[str, Any], name: str, type_: str) -> None:
    """`name` is of another type, or is there at all."""
    schema["properties"][name] = {"type": type_}


def require(schema: dict[str, Any], name: str, described: dict[str, Any]) -> None:
    """A required field more."""
    schema["properties"][name] = described
    schema["required"].append(name)


def drop(schemas: dict[str, Any], topic: str, name: str) -> None:
    """One of a union goes."""
    schemas[topic]["oneOf"].remove({"$ref": f"#/$defs/{name}"})


#: What changes, and what is said about it: where, what, whom it breaks.
BREAKS: dict[str, tuple[Change, tuple[str, str, str]]] = {
    # What others send.
    "event type removed": (lambda s: drop(s, "events.v1", "Payment"), ("events.v1", "event_type payment is refused now", "writers")),
    "command removed": (lambda s: drop(s, "commands.v1", "Unack"), ("commands.v1", "action unack is refused now", "writers")),
    "property removed": (lambda s: remove(menu(s), "provider"), (f"{MENU}.provider", "is gone", "writers")),
    "required property removed": (lambda s: remove(menu(s), "outcome"), (f"{MENU}.outcome", "is gone", "writers")),
    "property required": (lambda s: menu(s)["required"].append("provider"), (f"{MENU}.provider", "is required now", "writers")),
    "required property added": (lambda s: require(menu(s), "model", {}), (f"{MENU}.model", "is required now", "writers")),
    "unit changed": (
        lambda s: rename(menu(s), "generation_time_ms", "generation_time_s"),
        (f"{MENU}.generation_time_ms", "is generation_time_s now: its unit changed from ms to s", "writers"),
    ),
    "unit changed, not the name": (
        lambda s: menu(s, "generation_time_ms").update({"x-unit": "s"}),
        (f"{MENU}.generation_time_ms", 'x-unit changed from "ms" to "s"', "writers"),
    ),
    "retyped": (lambda s: retype(menu(s), "recipe_count", "string"), (f"{MENU}.recipe_count", "integer is refused now", "writers")),
    "number made whole": (
        lambda s: menu(s, "generation_time_ms").update(type="integer"),
        (f"{MENU}.generation_time_ms", "number is refused now", "writers"),
    ),
    "null refused": (
        lambda s: menu(s)["properties"].update(provider=menu(s, "provider")),
        (f"{MENU}.provider", "null is refused now", "writers"),
    ),
    "value removed": (
        lambda s: menu(s, "outcome")["enum"].remove("degraded"),
        (f"{MENU}.outcome", 'value "degraded" is refused now', "writers"),
    ),
    "values listed": (
        lambda s: menu(s, "restrictions")["items"].update(enum=["vegan"]),
        (f"{MENU}.restrictions[]", 'every value but "vegan" is refused now', "writers"),
    ),
    "maximum lowered": (
        lambda s: menu(s, "recipe_count").update(maximum=50),
        (f"{MENU}.recipe_count", "maximum 50: what is above is refused now", "writers"),
    ),
    "minimum raised": (
        lambda s: menu(s, "recipe_count").update(minimum=1),
        (f"{MENU}.recipe_count", "minimum 1: what is below is refused now", "writers"),
    ),
    "zero excluded": (
        lambda s: menu(s, "recipe_count").update(exclusiveMinimum=0),
        (f"{MENU}.recipe_count", "exclusiveMinimum 0: what is below is refused now", "writers"),
    ),
    "text shortened": (
        lambda s: menu(s, "provider").update(maxLength=20),
        (f"{MENU}.provider", "maxLength 20: what is above is refused now", "writers"),
    ),
    "list shortened": (
        lambda s: menu(s, "restrictions").update(maxItems=9),
        (f"{MENU}.restrictions", "maxItems 9: what is above is refused now", "writers"),
    ),
    "pattern added": (
        lambda s: menu(s, "restrictions")["items"].update(pattern="^a"),
        (f"{MENU}.restrictions[]", 'pattern: what is not "^a" is refused now', "writers"),
    ),
    "names restricted": (
        lambda s: definition(s, "events.v1", "Source").update(additionalProperties=False),
        ("events.v1 menu_generated.source", "every name that is not listed is refused now", "writers"),
    ),
    "keyword nobody compares": (
        lambda s: menu(s, "restrictions").update(uniqueItems=True),
        (f"{MENU}.restrictions", "uniqueItems changed from null to true", "writers"),
    ),
    "schema_version raised": (
        lambda s: payment(s, "schema_version").update(const=2),
        ("events.v1 payment.schema_version", "value 1 is refused now", "writers"),
    ),
    "variants of flags shortened": (
        lambda s: payment(s, "flags")["anyOf"][0]["additionalProperties"].update(maxLength=9),
        ("events.v1 payment.flags.*", "maxLength 9: what is above is refused now", "writers"),
    ),
    # What others read.
    "topic removed": (lambda s: s.pop("alerts.v1"), ("alerts.v1", "is gone", "readers")),
    "field of an alert removed": (lambda s: remove(s["alerts.v1"], "runbook"), ("alerts.v1.runbook", "is gone", "readers")),
    "field of an alert left out": (
        lambda s: s["alerts.v1"]["required"].remove("runbook"),
        ("alerts.v1.runbook", "may be missing now", "readers"),
    ),
    "field of an alert null": (lambda s: allow_null(s["alerts.v1"], "value"), ("alerts.v1.value", "null is new", "readers")),
    "field of an alert's alert": (
        lambda s: remove(definition(s, "escalations.v1", "Alert"), "sql"),
        ("escalations.v1.alert.sql", "is gone", "readers"),
    ),
    "value of an alert added": (
        lambda s: alert(s, "severity")["enum"].append("none"),
        ("alerts.v1.severity", 'value "none" is new', "readers"),
    ),
    "value in kept records": (
        lambda s: alert(s, "severity")["enum"].remove("low"),
        ("alerts.v1.severity", 'value "low" is refused now', "writers"),
    ),
    "field that kept records lack": (
        lambda s: require(s["alerts.v1"], "team", {"type": "string"}),
        ("alerts.v1.team", "is required now", "writers"),
    ),
    "digest of any form": (
        lambda s: alert(s, "incident_key").pop("pattern"),
        ("alerts.v1.incident_key", 'pattern: what is not "^[0-9a-f]{64}$" is new', "readers"),
    ),
    "whole number made any": (lambda s: pane(s, "sum").update(type="number"), ("panes.v1.panes[].sum", "number is new", "readers")),
    "count below nought": (
        lambda s: pane(s, "count").update(minimum=-1),
        ("panes.v1.panes[].count", "minimum 0: what is below is new", "readers"),
    ),
    "header removed": (lambda s: remove(s["dlq.v1.headers"], "dlq.reason"), ("dlq.v1.headers.dlq.reason", "is gone", "readers")),
}

HARMLESS: dict[str, Change] = {
    "nothing": lambda s: None,
    "event type added": lambda s: s["events.v1"]["oneOf"].append({"type": "object", "properties": {"event_type": {"const": "new"}}}),
    "topic added": lambda s: s.update({"new.v1": {"type": "object"}}),
    "optional property added": lambda s: retype(menu(s), "model", "string"),
    "property made optional": lambda s: menu(s)["required"].remove("restrictions"),
    "null taken": lambda s: allow_null(menu(s), "recipe_count"),
    "whole number made any": lambda s: menu(s, "recipe_count").update(type="number"),
    "value added": lambda s: menu(s, "outcome")["enum"].append("partly"),
    "bound raised": lambda s: menu(s, "recipe_count").update(maximum=20_000),
    "bound dropped": lambda s: menu(s, "recipe_count").pop("maximum"),
    "pattern dropped": lambda s: payment(s, "event_id").pop("pattern"),
    "other words": lambda s: menu(s).update(description="Other words.", title="OtherName"),
    "other order": lambda s: s["events.v1"]["oneOf"].reverse(),
    "field of an alert added": lambda s: retype(s["alerts.v1"], "team", "string"),
    "field of an alert that old records have by default": lambda s: require(s["alerts.v1"], "team", {"type": "string", "default": ""}),
}


@pytest.mark.parametrize(("change", "said"), BREAKS.values(), ids=BREAKS.keys())
def test_a_break_names_the_field(change: Change, said: tuple[str, str, str]) -> None:
    """Each change is found as what it is, at its place, with whom it breaks; nothing is said about its neighbours."""
    old, new = topics(), topics()
    change(new)
    found = compare(old, new)
    assert Break(*said) in found  # type: ignore[arg-type]
    name = re.split(r"[. ]", said[0].removesuffix("[]"))[-1].removesuffix("_ms")
    assert all(name in one.where for one in found)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_nobody_notices_passes(change: Change) -> None:
    """Changes that old writers and old readers bear."""
    old, new = topics(), topics()
    change(new)
    assert compare(old, new) == []
