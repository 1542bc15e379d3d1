"""Events of an NDJSON file, ready to be sent: with ids, with shifted times when they are replayed, in the order of the file."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from pipeline.runtime.errors import ConfigurationError
from schemas.partitioning import event_key, partition_of
from schemas.seed_names import canonicalise
from schemas.timestamps import isoformat_of, to_ms


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a file. `partition` groups what must keep its order; `occurred_ms` is None where it cannot be read."""

    number: int
    value: bytes
    event_id: str
    partition: int
    occurred_ms: int | None


@dataclass(frozen=True, slots=True)
class EventFile:
    """What is known of a file before it is sent.

    `lines` leaves out blank ones; `span_ms` is the first and last `occurred_at`, None when no line has one.
    """

    path: Path
    digest: bytes
    lines: int
    span_ms: tuple[int, int] | None


def survey(path: Path, *, with_span: bool) -> EventFile:
    """Read the file once for its hash and number of lines, and for its span when it is to be replayed by event time."""
    digest, lines = hashlib.sha256(), 0
    first: int | None = None
    last: int | None = None
    try:
        with path.open("rb") as file:
            for line in file:
                digest.update(line)
                lines += not line.isspace()
                if with_span and (occurred_ms := _occurred_ms(_document(line))) is not None:
                    first = occurred_ms if first is None else min(first, occurred_ms)
                    last = occurred_ms if last is None else max(last, occurred_ms)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    return EventFile(path, digest.digest(), lines, None if first is None or last is None else (first, last))


def lines_of(file: EventFile, shift_ms: int = 0) -> Iterator[Line]:
    """The events of the file in order, blank lines left out; times move by `shift_ms`."""
    with file.path.open("rb") as opened:
        yield from prepared(enumerate(opened, start=1), file.digest, shift_ms)


def prepared(numbered: Iterable[tuple[int, bytes]], digest: bytes, shift_ms: int = 0) -> Iterator[Line]:
    """Lines with everything that sending them needs, without `sent_at`: it was true when they were sent first.

    What is no JSON object goes as it is: the gateway says why it is refused.
    """
    for number, raw in numbered:
        value = raw.strip()
        if not value:
            continue
        document = _document(value)
        if document is None:
            yield Line(number, value, "", 0, None)
            continue
        occurred_ms = _occurred_ms(document)
        event_id = document.get("event_id")
        if not event_id:
            event_id = derived_id(digest, number)
            value = (
                _with_first_field(value, "event_id", event_id)
                if "event_id" not in document
                else orjson.dumps(document | {"event_id": event_id})
            )
        if document.pop("sent_at", None) is not None:  # by it the gateway would move the event to now: the file is being sent now
            value = orjson.dumps(document | {"event_id": event_id})
        if shift_ms and occurred_ms is not None:
            occurred_ms += shift_ms
            value = orjson.dumps(document | {"event_id": event_id, "occurred_at": isoformat_of(occurred_ms)})
        yield Line(number, value, str(event_id), _partition(document, str(event_id)), occurred_ms)


def derived_id(digest: bytes, number: int) -> str:
    """The event id of a line without one: the same file and line always have the same, so publishing twice counts once."""
    return str(uuid.UUID(bytes=hashlib.sha256(digest + number.to_bytes(8, "big")).digest()[:16], version=5))


def _with_first_field(value: bytes, name: str, text: str) -> bytes:
    rest = value[1:].lstrip()
    return b'{"%s":"%s"%s%s' % (name.encode(), text.encode(), b"" if rest.startswith(b"}") else b",", rest)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _occurred_ms(document: dict[str, Any] | None) -> int | None:
    text = (document or {}).get("occurred_at")
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return to_ms(instant) if instant.tzinfo else None


def _partition(document: dict[str, Any], event_id: str) -> int:
    canonical = canonicalise(document)
    user_id, session_id = canonical.get("user_id"), canonical.get("session_id")
    return partition_of(event_key(_text(user_id), _text(session_id), event_id.lower()))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
