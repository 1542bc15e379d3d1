"""From the JSON of a request to Kafka records, by partition, and to what is refused and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any, Final

import orjson
from pydantic_core import from_json

from pipeline.gateway import limits
from pipeline.gateway.bots import BotReason
from pipeline.runtime.clock import NewId
from pipeline.runtime.errors import Reject
from schemas.envelope import END_OF_TIME, FIRST_INSTANT
from schemas.event import AnyEvent, BadEvent, FieldError, decode
from schemas.partitioning import event_key, partition_of
from schemas.timestamps import from_ms, isoformat_ms

_BOM: Final = b"\xef\xbb\xbf"

#: Whoever could say it for a gateway could raise a false alarm of lost events, or hide a true one.
_RESERVED: Final = (FieldError("properties.positions", "is what a gateway says of itself; leave it out"),)

#: (key, value) of one Kafka record.
Record = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that is not taken; `index` is its place in the request, from 0; `event_id` as it was sent, None when there is none."""

    index: int
    event_id: str | None
    bad: BadEvent


@dataclass(frozen=True, slots=True)
class Violation:
    """An accepted event whose properties break its schema, of a type that is not enforced yet; `bad` says how."""

    index: int
    event_id: str
    bad: BadEvent


@dataclass(frozen=True, slots=True)
class Intake:
    """What a request has in it: `event_ids` of the accepted events and `rejected`, both in its order; `records` per partition, likewise.

    `violations` are of accepted events, in order.
    """

    event_ids: list[str] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    records: dict[int, list[Record]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Events, accepted or not."""
        return len(self.event_ids) + len(self.rejected)


def read_events(body: bytes, *, ndjson: bool, new_id: NewId, sent_at: str | None = None, bot_reasons: Sequence[BotReason] = ()) -> Intake:
    """Read a body: one event, an array of events, or one event a line.

    Args:
        body: what was sent, decompressed.
        ndjson: every line is an event; otherwise lines are looked for only when the whole is not JSON.
        new_id: gives an event without `event_id` its own.
        sent_at: the sender's clock, ISO 8601, for events that have no `sent_at` of their own.
        bot_reasons: given to all of them; what an event itself says of that is not believed.

    Raises:
        Reject: nothing of the body can be read, or it has more events or values than one request may.
    """
    documents = _documents(body, ndjson)
    if len(documents) > limits.MAX_EVENTS:
        raise Reject("too_many_events", f"a request has at most {limits.MAX_EVENTS} events; send them in several requests")
    assigned: set[int] = set()
    values: list[bytes | BadEvent] = []
    for index, document in enumerate(documents):
        if isinstance(document, dict):
            if document.get("event_id") is None and document.get("eventId") is None:
                document["event_id"] = new_id()
                assigned.add(index)
            _mark(document, sent_at, bot_reasons)
        values.append(document if isinstance(document, BadEvent) else _value(document))
    return _intake(values, assigned)


def read_sent_at(sent: str | None) -> str | None:
    """The parameter as ISO 8601, from that or from ms since 1970. Raises Reject when it is no time between 1990 and 2100."""
    if not sent:
        return None
    try:
        instant = from_ms(int(sent)) if sent.isascii() and sent.isdigit() else datetime.fromisoformat(sent)
        if FIRST_INSTANT <= instant < END_OF_TIME:
            return isoformat_ms(instant)
    except (ValueError, TypeError, OverflowError):  # TypeError: it has no zone
        pass
    raise Reject("invalid_parameter", "sent_at is the sender's clock: ms since 1970, or ISO 8601 with a zone, between 1990 and 2100")


def _mark(document: dict[str, Any], sent_at: str | None, bot_reasons: Sequence[BotReason]) -> None:
    if bot_reasons:
        document["bot_reasons"] = bot_reasons
    elif "bot_reasons" in document:
        del document["bot_reasons"]
    if sent_at is not None and document.get("sent_at") is None:
        document["sent_at"] = sent_at


def _documents(body: bytes, ndjson: bool) -> Sequence[Any]:
    """The parsed values; a BadEvent stands where a line is not JSON."""
    body = body.removeprefix(_BOM).strip()
    if not body:
        raise Reject("empty_body", "the body is empty; send one event, an array of events, or one event a line")
    if body.count(b"{") + body.count(b"[") > limits.MAX_CONTAINERS or body.count(b"\n") > limits.MAX_CONTAINERS:
        raise Reject("too_many_values", f"a request has at most {limits.MAX_CONTAINERS} objects and arrays, and as many lines")
    if body.count(b",") > limits.MAX_COMMAS:
        raise Reject("too_many_values", f"a request has at most {limits.MAX_COMMAS} commas; send the events in several requests")
    if ndjson:
        return _lines(body)
    try:
        document = _parse(body)
    except ValueError as error:
        first, _, more = body.partition(b"\n")
        if more and _is_object(first):
            return _lines(body)
        raise Reject("invalid_json", f"the body is not JSON: {error}") from None
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise Reject("invalid_json", "the body is neither an event nor an array of events")
    return [document]


def _lines(body: bytes) -> Sequence[Any]:
    lines = [line for line in body.split(b"\n") if line.strip()]
    return [_line(line) for line in lines[: limits.MAX_EVENTS + 1]]


def _line(line: bytes) -> Any:
    try:
        return _parse(line)
    except ValueError as error:
        return BadEvent("invalid_json", (FieldError("", f"not JSON: {error}"),))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_parse(line), dict)
    except ValueError:
        return False


def _parse(text: bytes) -> Any:
    """Integers stay exact whatever their size, which orjson would round. Raises ValueError, also for more than 200 levels."""
    return from_json(text, allow_inf_nan=False, cache_strings="keys")


def _value(document: Any) -> bytes | BadEvent:
    """The compact JSON of one event, or why it is not even looked at."""
    if isinstance(document, dict) and (flaw := _flaw(document, 1)) is not None:
        return BadEvent(flaw[0], (FieldError("", flaw[1]),), event_id=_text(document.get("event_id")))
    try:
        value = orjson.dumps(document)
    except TypeError:
        return BadEvent(
            "number_out_of_range", (FieldError("", "an integer does not fit in 64 bits"),), event_id=_text(document.get("event_id"))
        )
    if len(value) > limits.MAX_EVENT_BYTES:
        message = f"the event has {len(value)} bytes, at most {limits.MAX_EVENT_BYTES} are taken"
        return BadEvent("too_large", (FieldError("", message),), event_id=_text(document.get("event_id")))
    return bytes(memoryview(value))  # a copy: orjson leaves 4 KiB allocated under each of its results, and these wait for Kafka


def _flaw(value: Any, depth: int) -> tuple[str, str] | None:
    if depth > limits.MAX_DEPTH:
        return "too_deep", f"the event is nested deeper than {limits.MAX_DEPTH} levels"
    for child in value.values() if type(value) is dict else value:
        kind = type(child)
        if kind is dict or kind is list:
            if (flaw := _flaw(child, depth + 1)) is not None:
                return flaw
        elif kind is float and not isfinite(child):
            return "number_out_of_range", "a number is too large"
    return None


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _intake(values: Sequence[bytes | BadEvent], assigned: set[int]) -> Intake:
    places = [index for index, value in enumerate(values) if isinstance(value, bytes)]
    decoded = decode([value for value in values if isinstance(value, bytes)])
    events: dict[int, AnyEvent | None] = dict(zip(places, decoded.events, strict=True))
    bad = {places[i]: reason for i, reason in decoded.bad.items()}
    violations = {places[i]: reason for i, reason in decoded.violations.items()}
    intake = Intake()
    for index, value in enumerate(values):
        event = events.get(index)
        if event is None or isinstance(value, BadEvent):
            reason = value if isinstance(value, BadEvent) else bad[index]
            intake.rejected.append(Rejection(index, None if index in assigned else reason.event_id or None, reason))
            continue
        if event["event_type"] == "accepted_count" and "positions" in event["properties"]:
            intake.rejected.append(
                Rejection(index, None if index in assigned else event["event_id"], BadEvent("reserved_field", _RESERVED))
            )
            continue
        key = event_key(event.get("user_id"), event.get("session_id"), event["event_id"])
        intake.event_ids.append(event["event_id"])
        if index in violations:
            intake.violations.append(Violation(index, event["event_id"], violations[index]))
        intake.records.setdefault(partition_of(key), []).append((key.encode(), value))
    return intake
