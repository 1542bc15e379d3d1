"""How the bytes of a chunk become events.

Usually a hundred and more are validated in one call. Only when that fails, or when a byte is seen that could hide something, is every
one of them looked at on its own: then each gets its event or the reason why it is none.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import add
from typing import Any, Final, NamedTuple, cast

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, from_json

from schemas.envelope import CLOSED, Envelope
from schemas.event_types import EVENT_TYPES, AnyEvent, Event
from schemas.modes import mode_of
from schemas.seed_names import RENAMED_PROPERTIES, canonicalise
from schemas.user_ids import is_any_nobody, is_no_user_id

__all__ = [
    "EVENT_TYPES",
    "MAX_VALUE_BYTES",
    "UNREAD_BATCH",
    "AnyEvent",
    "BadEvent",
    "Decoded",
    "DecodedOne",
    "Event",
    "FieldError",
    "decode",
    "decode_one",
]

_ONE: Final[TypeAdapter[AnyEvent]] = TypeAdapter(Event)
#: Of strings only names come again; looking for values among those seen costs more than it saves.
_MANY: Final[TypeAdapter[dict[str, AnyEvent]]] = TypeAdapter(dict[str, Event], config=ConfigDict(cache_strings="keys"))


@with_config(CLOSED)
class _AnyProperties(Envelope):
    event_type: str
    properties: dict[str, Any]


_ANY_PROPERTIES: Final = TypeAdapter(_AnyProperties)

#: So many values are read in one call: enough that the call costs nothing, few enough that one bad value sends few others the long way.
_TOGETHER: Final = 128
#: Names of their places, in front of the values when they are read in one call. Nobody can write a name he cannot guess, so a value
#: that is two events, or two values that are one only together, are seen and shift nobody.
_SECRET: Final = secrets.token_hex(8)
_PLACES: Final = [f"{_SECRET}{place}" for place in range(_TOGETHER)]
_PREFIXES: Final = [f'"{place}":'.encode() for place in _PLACES]

#: The longest value that is read: what the topic takes. A compressed batch may bring longer ones.
MAX_VALUE_BYTES: Final = 1 << 20
_MAX_ERRORS: Final = 20
#: Begins the value that stands for a compressed batch which was not unpacked; the reason follows.
UNREAD_BATCH: Final = b"\0unread batch\0"

#: How "Infinity", "userId" and "sessionId" go on after the I.
_AFTER_I: Final = (b"nfinity", b'd"')
_CONTROL_IN_UTF8: Final = re.compile(b"\xc2[\x80-\x9f]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CANONICAL: Final = orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True)
class FieldError:
    """`field` is a dotted path into the event, '' for the whole."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True)
class BadEvent:
    """Why a value is no event: a stable `code`, the first 20 errors, and what could still be read of who sent it."""

    code: str
    errors: tuple[FieldError, ...]
    event_id: str = ""
    event_type: str = ""
    service: str = ""

    @property
    def reason(self) -> str:
        """One line of at most 500 characters, without the sender's data beyond what the errors quote."""
        text = "; ".join(map(str, self.errors))
        return " ".join(text.split())[:500]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns of equal length, one place per value; `events[i]` is None exactly where `bad` has i.

    `properties[i]` is the canonical JSON (sorted keys) of the event's properties, b'' where bad.
    `source_names` has the name an event was sent under where that is not its own. `violations` says how the properties of an event
    break its schema, where its type is not enforced: it is stored, and counts nowhere.
    """

    events: list[AnyEvent | None]
    properties: list[bytes]
    bad: dict[int, BadEvent] = field(default_factory=dict)
    source_names: dict[int, str] = field(default_factory=dict)
    violations: dict[int, BadEvent] = field(default_factory=dict)


def decode(values: Sequence[bytes]) -> Decoded:
    """Read the values of a chunk. Never raises: what is no event is in `bad`, in the place where it stood."""
    decoded = Decoded([], [])
    for start in range(0, len(values), _TOGETHER):
        some = values[start : start + _TOGETHER]
        if not _decode_together(some, decoded):
            _decode_singly(some, decoded)
    return decoded


def _decode_together(values: Sequence[bytes], decoded: Decoded) -> bool:
    """Whether all of `values`, at most `_TOGETHER`, are events that need no second look; then they are added to `decoded`."""
    if max(map(len, values)) > MAX_VALUE_BYTES:
        return False
    joined = b"{" + b",".join(map(add, _PREFIXES, values)) + b"}"
    if _is_suspicious(joined):
        return False
    try:
        placed = _MANY.validate_json(joined)
        events = list(placed.values())
        properties = [event["properties"] for event in events]
        canonical = [orjson.dumps(of_one, option=_CANONICAL) for of_one in properties]
    except (ValidationError, TypeError):
        return False
    if list(placed) != _PLACES[: len(values)] or not all(map(RENAMED_PROPERTIES.isdisjoint, properties)):
        return False
    if (b"null" in b"".join(canonical) and not all(map(_is_finite, properties))) or is_any_nobody(events):
        return False
    decoded.events.extend(events)
    decoded.properties.extend(canonical)
    return True


def _is_suspicious(joined: bytes) -> bool:
    """Whether a byte or word is seen that may mean something else than it seems.

    A backslash may hide a control character, DEL is one; NaN and Infinity are not JSON but are read as numbers; two names of the seed
    would pass for unknown fields. Looking for one byte is ten times as fast as looking for a word, so words are looked for behind
    their rarest letter.
    """
    if b"\\" in joined or b"\x7f" in joined or (b"\xc2" in joined and _CONTROL_IN_UTF8.search(joined)):
        return True
    return b"a" in joined.split(b"N") or any(rest.startswith(_AFTER_I) for rest in joined.split(b"I")[1:])


def _canonical(properties: Any) -> bytes:
    """Sorted JSON. Raises TypeError for a number that would not come back as it is: an integer beyond 64 bits, a float beyond all."""
    text = orjson.dumps(properties, option=_CANONICAL)
    if b"null" in text and not _is_finite(properties):
        raise TypeError("a number is too large")
    return text


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))


def _decode_singly(values: Sequence[bytes], decoded: Decoded) -> None:
    for i, value in enumerate(values, len(decoded.events)):
        one = decode_one(value)
        if isinstance(one, BadEvent):
            decoded.bad[i] = one
            decoded.events.append(None)
            decoded.properties.append(b"")
            continue
        decoded.events.append(one.event)
        decoded.properties.append(one.properties)
        if one.source_name:
            decoded.source_names[i] = one.source_name
        if one.violation is not None:
            decoded.violations[i] = one.violation


class DecodedOne(NamedTuple):
    """An event, its canonical properties, the name it was sent under ('' for its own), and how it breaks its schema (None: not at all)."""

    event: AnyEvent
    properties: bytes
    source_name: str
    violation: BadEvent | None


def decode_one(value: bytes) -> DecodedOne | BadEvent:
    """One value: its event, or why it is none."""
    document = _document(value)
    if isinstance(document, BadEvent):
        return document
    sent_as = document.get("event_type")
    canonical = canonicalise(document)
    renamed = canonical is not document
    try:
        event, violation = _validated(_written(canonical) if renamed else value, canonical)
        properties = _canonical(event["properties"])
    except ValidationError as error:
        return _bad(canonical, *_explain(error))
    except TypeError as error:
        return _bad(canonical, "number_out_of_range", (FieldError("properties", str(error)),))
    # Only now: what has been validated is not nested too deep to walk.
    if (path := _control_character(event)) is not None:
        return _bad(canonical, "control_character", (FieldError(path, "a string has a control character"),))
    if is_no_user_id(user_id := event.get("user_id") or "?"):
        return _bad(
            canonical, "malformed_user_id", (FieldError("user_id", f"{user_id!r} is nobody: leave user_id out where there is none"),)
        )
    return DecodedOne(event, properties, str(sent_as) if renamed and sent_as != event["event_type"] else "", violation)


def _validated(value: bytes, document: dict[str, Any]) -> tuple[AnyEvent, BadEvent | None]:
    """The event; where its type is not enforced, properties of any kind will do. Raises ValidationError."""
    try:
        return _ONE.validate_json(value), None
    except ValidationError as error:
        if mode_of(_text(document.get("event_type"))) == "enforce":
            raise
        try:
            event = _ANY_PROPERTIES.validate_json(value)
        except ValidationError:  # it would be refused under any mode, so everything that is wrong is said
            raise error from None
        return cast(AnyEvent, event), _bad(document, *_explain(error))


def _written(document: dict[str, Any]) -> bytes:
    """The document as it was read: numbers of any size stay numbers, so that a field is judged alike under any name of its neighbours."""
    try:
        text = orjson.dumps(document)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(document).encode()
    return json.dumps(document).encode() if b"null" in text and not _is_finite(document) else text


def _document(value: bytes) -> dict[str, Any] | BadEvent:
    if len(value) > MAX_VALUE_BYTES:
        return BadEvent("too_large", (FieldError("", f"the value has {len(value)} bytes, at most {MAX_VALUE_BYTES} are read"),))
    try:
        document = from_json(value, allow_inf_nan=False, cache_strings="keys")  # exact integers, which orjson would round
    except ValueError as error:
        return _unreadable(value, error)
    if not isinstance(document, dict):
        return BadEvent("not_an_object", (FieldError("", f"an event is a JSON object, not {_json_type(document)}"),))
    return document


def _unreadable(value: bytes, error: ValueError) -> BadEvent:
    if value.startswith(UNREAD_BATCH):
        return BadEvent("unread_batch", (FieldError("", value.removeprefix(UNREAD_BATCH).decode("utf-8", "replace")),))
    if not value.strip():
        return BadEvent("empty", (FieldError("", "the value is empty"),))
    try:
        value.decode()
    except UnicodeDecodeError as undecodable:
        return BadEvent("invalid_utf8", (FieldError("", f"not UTF-8 at byte {undecodable.start}"),))
    return BadEvent("invalid_json", (FieldError("", f"not JSON: {error}"),))


def _bad(document: dict[str, Any], code: str, errors: tuple[FieldError, ...]) -> BadEvent:
    source = document.get("source")
    service = source.get("service") if isinstance(source, dict) else ""
    return BadEvent(code, errors, _text(document.get("event_id")), _text(document.get("event_type")), _text(service))


def _text(value: Any) -> str:
    return _CONTROL.sub("", value[:200]) if isinstance(value, str) else ""


def _explain(error: ValidationError) -> tuple[str, tuple[FieldError, ...]]:
    details = error.errors(include_url=False, include_input=False, include_context=True)
    if details[0]["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return "unknown_event_type", (FieldError("event_type", f"must be one of {', '.join(EVENT_TYPES)}"),)
    errors = tuple(FieldError(_field(detail), detail["msg"]) for detail in details[:_MAX_ERRORS])
    if details[0]["type"] == "json_invalid":
        return "invalid_json", errors
    if any(detail["loc"][1:] == ("schema_version",) and detail["type"] == "literal_error" for detail in details):
        return "unknown_schema_version", errors
    return ("missing_field" if all(d["type"] == "missing" for d in details) else "invalid_field"), errors


def _field(detail: ErrorDetails) -> str:
    """The dotted path; a check of several fields together names the one it is about in its context."""
    path = [*detail["loc"][1:], *([detail["ctx"]["field"]] if "field" in detail.get("ctx", {}) else [])]
    return _text(".".join(map(str, path)))


def _control_character(document: Any, path: str = "") -> str | None:
    """The dotted path of the first string, key or value, with a control character; tab and line ends are text."""
    if isinstance(document, str):
        return path if _CONTROL.search(document) else None
    if isinstance(document, dict):
        for key, value in document.items():
            inner = f"{path}.{key}" if path else key
            if _CONTROL.search(key) or (found := _control_character(value, inner)) is not None:
                return path if _CONTROL.search(key) else found
    elif isinstance(document, list):
        for i, value in enumerate(document):
            if (found := _control_character(value, f"{path}.{i}")) is not None:
                return found
    return None


def _json_type(value: Any) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
