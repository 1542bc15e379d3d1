"""Named corrections of what senders get wrong, for a replay: each gives another document, or the same one where it has nothing to do. Pure.

A fix never invents what was not sent, but for an event id, which only names the event.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from schemas.dead_letter import DeadLetter
from schemas.envelope import END_OF_TIME, FIRST_INSTANT
from schemas.timestamps import isoformat_ms, isoformat_of, to_ms

Document = dict[str, Any]
Fix = Callable[[Document, DeadLetter], Document]

#: Of ids that are derived from the place of a letter.
_NAMESPACE: Final = uuid.UUID("5833471f-e2ed-4cd9-b79a-68125a9bae66")

_SECONDS: Final = re.compile(r"(.+)_(?:s|sec|secs|seconds)")
_WORD_BORDER: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|-")
#: The times there are, in ms since 1970; taken for seconds, a number of ms lies beyond them.
_EPOCH_MS: Final = (to_ms(FIRST_INSTANT), to_ms(END_OF_TIME))
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PARTS: Final = ("source", "trace", "properties")


def derived_id(letter: DeadLetter) -> str:
    """The id of an event that has none of its own: the same for a letter and for all that come of it, however often it is replayed."""
    return str(uuid.uuid5(_NAMESPACE, letter.first_place))


def new_event_id(document: Document, letter: DeadLetter) -> Document:
    """Gives the event an id of its own, derived from where it was refused first: for event_id_conflict, and for ids that are none."""
    return {name: value for name, value in document.items() if name != "eventId"} | {"event_id": derived_id(letter)}


def set_version_1(document: Document, _: DeadLetter) -> Document:
    """Calls the event schema_version 1, whatever it said: for a publisher that was ahead, whose fields are right all the same."""
    return document | {"schema_version": 1}


def seconds_to_ms(document: Document, _: DeadLetter) -> Document:
    """A duration named …_s, …_sec or …_seconds becomes …_ms, times 1,000, unless there is a …_ms already."""
    properties = document.get("properties")
    if not isinstance(properties, dict):
        return document
    fixed: Document = {}
    for name, value in properties.items():
        named = _SECONDS.fullmatch(name)
        is_duration = named is not None and _is_number(value) and f"{named[1]}_ms" not in properties
        fixed |= {f"{named[1]}_ms": value * 1000} if named is not None and is_duration else {name: value}
    return document | {"properties": fixed}


def utc_times(document: Document, _: DeadLetter) -> Document:
    """An occurred_at without a zone is taken for UTC; a number for seconds or ms since 1970, by its size."""
    name = "occurred_at" if "occurred_at" in document else "occurredAt"
    return document | {name: _in_utc(document[name])} if name in document else document


def snake_case_names(document: Document, _: DeadLetter) -> Document:
    """recipeCount and recipe-count become recipe_count: names of fields, and the event type. A name that is there already wins."""
    fixed = _snake_case(document)
    for part in _PARTS:
        if isinstance(fixed.get(part), dict):
            fixed[part] = _snake_case(fixed[part])
    if isinstance(fixed.get("event_type"), str):
        fixed["event_type"] = _snake(fixed["event_type"])
    return fixed


def strip_control_characters(document: Document, _: DeadLetter) -> Document:
    """Leaves out control characters, such as an escaped NUL, from every text; tab and line ends are text."""
    fixed: Document = _stripped(document)
    return fixed


#: What `--fix` takes.
FIXES: Final[Mapping[str, Fix]] = {
    "new-event-id": new_event_id,
    "set-version-1": set_version_1,
    "seconds-to-ms": seconds_to_ms,
    "utc-times": utc_times,
    "snake-case-names": snake_case_names,
    "strip-control-characters": strip_control_characters,
}


def about(name: str) -> str:
    """What a fix does, in one sentence."""
    return " ".join((FIXES[name].__doc__ or "").split())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _in_utc(value: Any) -> Any:
    if _is_number(value):
        ms = next((value * factor for factor in (1000, 1) if _EPOCH_MS[0] <= value * factor < _EPOCH_MS[1]), None)
        return value if ms is None else isoformat_of(round(ms))
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return value if instant.tzinfo else isoformat_ms(instant.replace(tzinfo=UTC))


def _snake(name: str) -> str:
    return _WORD_BORDER.sub("_", name).lower()


def _snake_case(fields: Document) -> Document:
    return {_snake(name): value for name, value in fields.items() if _snake(name) == name or _snake(name) not in fields}


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return _CONTROL.sub("", value)
    if isinstance(value, dict):
        return {_CONTROL.sub("", name): _stripped(inner) for name, inner in value.items()}
    return [_stripped(inner) for inner in value] if isinstance(value, list) else value
