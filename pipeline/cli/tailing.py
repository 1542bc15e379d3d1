"""Records of `events.v1` and `dlq.v1` as a person wants to see them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import orjson

from pipeline.aggregation.partition import MOVED_FROM
from schemas.dead_letter import read_dead_letter
from schemas.event import AnyEvent, decode
from schemas.timestamps import isoformat_of
from schemas.topics import DLQ

_LONGEST_TEXT: Final = 60
#: A terminal would obey them.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Record(Protocol):
    """The part of aiokafka's ConsumerRecord that is used; `timestamp` is in ms since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Sequence[tuple[str, bytes]]
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that was accepted (`event` and its canonical `properties`), or a record that was refused (`code` and `reason`).

    `at_ms` is when the broker has it from, for a refused one when it was refused; `place` is topic/partition/offset.
    """

    at_ms: int
    place: str
    event_type: str
    service: str
    user_id: str = ""
    event: AnyEvent | None = None
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see; None is anything."""

    event_type: str | None = None
    service: str | None = None

    def __call__(self, seen: Seen) -> bool:
        return self.event_type in (None, seen.event_type) and self.service in (None, seen.service)


def seen_in(records: Iterable[Record]) -> list[Seen]:
    """What the records of both topics show, in the order of their times.

    A record that was forwarded to its partition was shown where it came first; one that is no event is shown when its letter comes.
    """
    records = list(records)
    shown = [_refused(record) for record in records if record.topic == DLQ.name]
    others = [record for record in records if record.topic != DLQ.name and all(name != MOVED_FROM for name, _ in record.headers)]
    for record, event in zip(others, decode([record.value or b"" for record in others]).events, strict=True):
        if event is not None:
            user_id = event.get("user_id") or ""
            shown.append(Seen(record.timestamp, _place(record), event["event_type"], event["source"]["service"], user_id, event))
    return sorted(shown, key=lambda one: one.at_ms)


def _refused(record: Record) -> Seen:
    try:
        letter = read_dead_letter(record.headers, record.key, record.value)
    except ValueError as error:
        return Seen(record.timestamp, _place(record), "", "", code="unreadable_letter", reason=str(error))
    return Seen(letter.failed_at_ms, letter.place, letter.event_type, letter.service, code=letter.error_code, reason=letter.reason)


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


class Line(NamedTuple):
    """A line in its parts: when, whose, and what."""

    time: str
    about: str
    text: str


def line_of(seen: Seen) -> Line:
    """For people: nothing in it moves a cursor, and lists, which may say something of somebody's health, are only counted."""
    about = f"{seen.event_type or '?':<22} {seen.service or '?':<16} {seen.user_id or '-':<12}"
    text = f"rejected {seen.code}: {seen.reason}" if seen.event is None else _properties(seen.event["properties"])
    return Line(isoformat_of(seen.at_ms)[11:23], clean(about), clean(text))


def _properties(properties: Any) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in properties.items() if value is not None)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def clean(text: str) -> str:
    """Text of somebody else's for a terminal, which would obey its control and bidirectional characters."""
    return _CONTROL.sub("�", text)


def document_of(seen: Seen) -> dict[str, Any]:
    """For programs."""
    about = {"at": isoformat_of(seen.at_ms), "place": seen.place}
    if seen.event is not None:
        return {"verdict": "accepted", **about, "event": seen.event}
    found = {"error_code": seen.code, "reason": seen.reason, "event_type": seen.event_type, "service": seen.service}
    return {"verdict": "rejected", **about, **found}


@dataclass(slots=True)
class Pace:
    """Lets so many lines of each second through and counts the others."""

    lines_per_s: int
    skipped: int = 0
    _second: int = field(default=-1, init=False)
    _shown: int = field(default=0, init=False)

    def admits(self, now_s: float) -> bool:
        """Whether a line may be shown now; one that may not is skipped."""
        if int(now_s) != self._second:
            self._second, self._shown = int(now_s), 0
        self._shown += 1
        if self._shown > self.lines_per_s:
            self.skipped += 1
            return False
        return True

    def take_skipped(self) -> int:
        """How many were skipped since it was asked last."""
        skipped, self.skipped = self.skipped, 0
        return skipped
