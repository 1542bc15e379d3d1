"""What can be done about a dead letter: which ones are meant, which can never be replayed, and what one becomes under some fixes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from pipeline.aggregation.clock_skew import with_first_received
from pipeline.aggregation.partition import MOVED_FROM
from pipeline.dead_letters.fixes import FIXES, derived_id
from schemas.dead_letter import ATTEMPTS, ORIGIN, DeadLetter
from schemas.event import MAX_VALUE_BYTES, AnyEvent, BadEvent, Decoded, FieldError, decode
from schemas.partitioning import event_key, partition_of

#: An event is replayed so often; refused once more, it needs a person who looks at it.
MAX_ATTEMPTS: Final = 3
FIX: Final = "dlq.fix"
#: What a record is besides its value, so that the topic takes it: key, headers and frame.
_FRAME_BYTES: Final = 8 << 10

#: Error codes of records whose event is not in the letter: nothing can be made of them.
LOST: Final[Mapping[str, str]] = {
    "too_large": "the letter has only the first 1 MiB of the record; publish the event again, in smaller pieces",
    "unread_batch": "the batch of records was never unpacked, and its bytes are only in the topic they were sent to",
    "empty": "there is no event in it",
    "invalid_json": "its bytes are not JSON, so nobody knows what was meant",
    "invalid_utf8": "its bytes are not text, so nobody knows what was meant",
    "not_an_object": "it is JSON, but no event",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; '' and None stand for any. Times are those of the refusal, [since_ms, until_ms)."""

    reason: str = ""
    event_type: str = ""
    source: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        return (
            self.reason in ("", letter.error_code)
            and self.event_type in ("", letter.event_type)
            and self.source in ("", letter.service)
            and (self.since_ms is None or letter.failed_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.failed_at_ms < self.until_ms)
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """A letter that is an event now: the record to publish, and what it is decoded to (columns of one)."""

    letter: DeadLetter
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    decoded: Decoded
    event: AnyEvent

    @property
    def key(self) -> str:
        return event_key(self.event.get("user_id"), self.event.get("session_id"), self.event["event_id"])

    @property
    def partition(self) -> int:
        return partition_of(self.key)


def is_given_up(letter: DeadLetter) -> bool:
    """Whether it has been replayed as often as anything is."""
    return letter.attempts >= MAX_ATTEMPTS


def prepare(letter: DeadLetter, fixes: Sequence[str]) -> Ready | BadEvent:
    """What a replay would publish for a letter after `fixes` (names of `FIXES`, in order), or why it is still no event.

    An event without id gets one that is derived from where it was refused first. Bytes that no fix changes are sent as they came.
    """
    if (lost := lost_because(letter)) is not None:
        return lost
    document = from_json(letter.value, allow_inf_nan=False)
    fixed: dict[str, Any] = document
    for name in fixes:
        fixed = FIXES[name](fixed, letter)
    if fixed.get("event_id") is None and fixed.get("eventId") is None:
        fixed = fixed | {"event_id": derived_id(letter)}
    before, after = _written(document), _written(fixed)
    value = letter.value if before == after else after
    decoded = decode([value])
    event = decoded.events[0]
    if event is None:
        return decoded.bad[0]
    headers = _headers(letter, fixes)
    if len(value) + _FRAME_BYTES > MAX_VALUE_BYTES:
        reason = f"with its headers it is more than the {MAX_VALUE_BYTES} bytes that the topic takes"
        return BadEvent("too_large", (FieldError("", reason),), letter.event_id, letter.event_type, letter.service)
    return Ready(letter, value, headers, decoded, event)


def lost_because(letter: DeadLetter) -> BadEvent | None:
    """Why there is no event in the letter; None when there is JSON of one."""
    code = letter.error_code
    if code not in ("too_large", "unread_batch"):  # those are known by their code only; the others by their bytes
        bad = decode([letter.value]).bad.get(0)
        code = bad.code if bad is not None else ""
    if code not in LOST:
        return None
    return BadEvent(code, (FieldError("", LOST[code]),), letter.event_id, letter.event_type, letter.service)


def _headers(letter: DeadLetter, fixes: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """The record's own, and where it comes from. An event counts by the time it was first received, not by that of a replay."""
    kept = [(name, value) for name, value in letter.record_headers if name != MOVED_FROM]
    own = with_first_received(kept, letter.failed_at_ms)
    ours = [(ORIGIN, letter.first_place.encode()), (ATTEMPTS, str(letter.attempts + 1).encode())]
    return (*own, *ours, *((FIX, name.encode()) for name in fixes))


def _written(document: dict[str, Any]) -> bytes:
    """Numbers of any size stay what they are, which orjson would not leave them."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
