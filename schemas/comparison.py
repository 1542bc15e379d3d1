"""What a change of the JSON Schemas breaks. Pure.

Two promises. What the previous version wrote is still read: by the gateway from publishers that have not been changed, and by every
reader from a topic that keeps its records for months. And of the topics that others read, what is written now is read by the previous
version's readers. Nobody outside reads `events.v1` or `commands.v1`: those may take more than they did (workers are renewed first).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from schemas.generators.json_schemas import UNITS, JsonSchema

#: What others only write; everything else they read.
SENT_BY_OTHERS: Final = frozenset({"events.v1", "commands.v1"})

_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT: Final = ("pattern", "format")
_NOTES: Final = frozenset({"title", "description", "default", "$schema", "$id", "$defs"})
_COMPARED: Final = frozenset(
    {*_LOWER, *_UPPER, *_EXACT, "type", "const", "enum", "anyOf", "oneOf", "properties", "required", "items"}
    | {"additionalProperties", "propertyNames"}
)
#: Whatever type it is, or no type at all.
_ANY: Final = "any value"


class _Alternative(NamedTuple):
    """One kind of value that a schema takes; `tag` tells an object from the others of its union."""

    schema: JsonSchema
    tag: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Break:
    """`where` is a topic and a dotted path into its value; `who` of the previous version is broken by `what` changed there."""

    where: str
    what: str
    who: Literal["readers", "writers"]

    def __str__(self) -> str:
        return f"{self.where}: {self.what} (breaks {self.who})"


def compare(old: Mapping[str, JsonSchema], new: Mapping[str, JsonSchema]) -> list[Break]:
    """All that a change from `old` to `new` breaks, sorted; both map the name of a topic's schema to it. Empty when nothing does."""
    found: set[Break] = set()
    for name, schema in old.items():
        others_read = name not in SENT_BY_OTHERS
        if name in new:
            found.update(_Comparison(schema, new[name], others_read=others_read).schemas(name, schema, new[name]))
        else:
            found.add(Break(name, "is gone", "readers" if others_read else "writers"))
    return sorted(found)


class _Comparison:
    """Of one schema with its next version. Methods yield the breaks below `where`."""

    def __init__(self, old: JsonSchema, new: JsonSchema, *, others_read: bool) -> None:
        self._old_defs, self._new_defs = old.get("$defs", {}), new.get("$defs", {})
        self._others_read = others_read
        self._concerned: Literal["readers", "writers"] = "readers" if others_read else "writers"

    def schemas(self, where: str, old: Any, new: Any) -> Iterator[Break]:
        """Of two schemas, alternative by alternative."""
        flat = list(_flat(old, self._old_defs)), list(_flat(new, self._new_defs))
        tag = _tag(*flat)
        olds, news = _alternatives(flat[0], tag), _alternatives(flat[1], tag)
        for kind, one in olds.items():
            other = _counterpart(kind, news)
            if other is None:
                yield Break(where, f"{kind} is refused now", "writers")
            else:
                yield from self._alternative(f"{where} {one.tag}".rstrip(), one.schema, other.schema)
        for kind in news:
            if self._others_read and _counterpart(kind, olds) is None:
                yield Break(where, f"{kind} is new", "readers")

    def _alternative(self, where: str, old: JsonSchema, new: JsonSchema) -> Iterator[Break]:
        for what in _refused(old, new):
            yield Break(where, f"{what} refused now", "writers")
        if self._others_read:
            for what in _refused(new, old):
                yield Break(where, f"{what} new", "readers")
        for keyword in (old.keys() | new.keys()) - _COMPARED - _NOTES:
            if old.get(keyword) != new.get(keyword):
                yield Break(where, f"{keyword} changed from {_text(old.get(keyword))} to {_text(new.get(keyword))}", self._concerned)
        yield from self._fields(where, old, new)
        for keyword, step in (("items", "[]"), ("additionalProperties", ".*"), ("propertyNames", " names")):
            if isinstance(old.get(keyword), dict) or isinstance(new.get(keyword), dict):
                yield from self.schemas(where + step, old.get(keyword, True), new.get(keyword, True))

    def _fields(self, where: str, old: JsonSchema, new: JsonSchema) -> Iterator[Break]:
        before, now = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name, field in before.items():
            if name in now:
                yield from self.schemas(f"{where}.{name}", field, now[name])
            else:
                yield Break(f"{where}.{name}", _gone(name, now.keys() - before.keys()), self._concerned)
        for name in is_required - was_required:
            if "default" not in now.get(name, {}):
                yield Break(f"{where}.{name}", "is required now", "writers")
        for name in was_required - is_required:
            if self._others_read and name in now:
                yield Break(f"{where}.{name}", "may be missing now", "readers")


def _flat(schema: Any, defs: Mapping[str, JsonSchema]) -> Iterator[JsonSchema]:
    """The schemas of which a value must have one, without unions and references."""
    if not isinstance(schema, dict):  # true takes everything, false nothing
        yield from [{}] if schema else []
    elif "$ref" in schema:
        yield from _flat(defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    elif "anyOf" in schema or "oneOf" in schema:
        for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from _flat(one, defs)
    else:
        yield schema


def _tag(old: list[JsonSchema], new: list[JsonSchema]) -> str | None:
    """The property that has another constant in each object of a union, before and after; None where there is no union of objects."""
    objects = [[one.get("properties", {}) for one in side if one.get("type") == "object"] for side in (old, new)]
    if max(map(len, objects)) < 2 or not all(objects):
        return None
    for name in objects[0][0]:
        values = [[one.get(name, {}).get("const") for one in side] for side in objects]
        if all(None not in side and len(set(side)) == len(side) for side in values):
            return str(name)
    return None


def _alternatives(schemas: list[JsonSchema], tag: str | None) -> dict[str, _Alternative]:
    """What kind of value → the schema of that kind."""
    kinds: dict[str, _Alternative] = {}
    for one in schemas:
        if tag is not None and one.get("type") == "object":
            value = one["properties"][tag]["const"]
            kinds[f"{tag} {value}"] = _Alternative(one, str(value))
        else:
            kinds[one.get("type", _ANY)] = _Alternative(one)
    return kinds


def _counterpart(kind: str, kinds: Mapping[str, _Alternative]) -> _Alternative | None:
    """What takes values of `kind`: whole numbers are numbers too."""
    return kinds.get(kind) or (kinds.get("number") if kind == "integer" else None) or kinds.get(_ANY)


def _refused(wide: JsonSchema, narrow: JsonSchema) -> Iterator[str]:
    """What `wide` admits and `narrow` does not, fields and items left out, as a subject with its verb."""
    for keywords, sign, beyond in ((_LOWER, 1, "below"), (_UPPER, -1, "above")):
        for keyword in keywords:
            bound, other = wide.get(keyword), narrow.get(keyword)
            if other is not None and (bound is None or sign * bound < sign * other):
                yield f"{keyword} {_text(other)}: what is {beyond} is"
    for keyword in _EXACT:
        if keyword in narrow and wide.get(keyword) != narrow[keyword]:
            yield f"{keyword}: what is not {_text(narrow[keyword])} is"
    admitted, taken = _values(wide), _values(narrow)
    if admitted is None and taken is not None:
        yield f"every value but {', '.join(map(_text, taken))} is"
    for value in admitted or ():
        if taken is not None and value not in taken:
            yield f"value {_text(value)} is"
    if narrow.get("additionalProperties") is False and wide.get("additionalProperties", True) is not False:
        yield "every name that is not listed is"


def _values(schema: JsonSchema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _gone(name: str, added: set[str]) -> str:
    """In what way a field is not there any more."""
    for ending, unit in UNITS.items():
        for other_ending, other_unit in UNITS.items():
            renamed = name.removesuffix(ending) + other_ending
            if name.endswith(ending) and renamed in added:
                return f"is {renamed} now: its unit changed from {unit} to {other_unit}"
    return "is gone"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
