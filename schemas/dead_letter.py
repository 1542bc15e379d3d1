"""A record that could not be processed: original key and bytes on `dlq.v1`, everything about it in headers named `dlq.*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NotRequired, TypeAlias

from pydantic import StringConstraints
from typing_extensions import TypedDict

from schemas.acceptance import without_acceptance
from schemas.timestamps import Timestamp, isoformat_of, to_ms

_Said: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
_Decimal: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]

#: The headers as texts, for the generated documents; those of who sent the record are empty where it could not be read.
DeadLetterHeaders = TypedDict(
    "DeadLetterHeaders",
    {
        "dlq.topic": _Said,
        "dlq.partition": _Decimal,
        "dlq.offset": _Decimal,
        "dlq.failed_at": Timestamp,
        "dlq.error_code": _Said,
        "dlq.reason": _Said,
        "dlq.event_id": NotRequired[str],
        "dlq.event_type": NotRequired[str],
        "dlq.service": NotRequired[str],
        "dlq.attempts": NotRequired[_Decimal],
        "dlq.origin": NotRequired[_Said],
    },
)

#: Headers of a record that is a replayed letter: how often its event has been replayed, and the place where it was refused first.
ATTEMPTS: Final = "dlq.attempts"
ORIGIN: Final = "dlq.origin"
#: Other headers of a record are kept while they are no longer than this together: nobody needs more, and `dlq.v1` must take it all.
MAX_RECORD_HEADERS_BYTES: Final = 4 << 10
_OURS: Final = "dlq."
_MOST_ATTEMPTS: Final = 999
_PLACE: Final = re.compile(r"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record. (`kafka_topic`, `kafka_partition`, `kafka_offset`) names it: written again it is the same one.

    `attempts` says how often it had been replayed when it was refused, `origin` where it was refused first ('' when that was here);
    `record_headers` are the record's own.
    """

    kafka_topic: str
    kafka_partition: int
    kafka_offset: int
    failed_at_ms: int
    error_code: str
    reason: str
    event_id: str
    event_type: str
    service: str
    key: bytes | None
    value: bytes
    attempts: int = 0
    origin: str = ""
    record_headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> str:
        """`topic/partition/offset`."""
        return f"{self.kafka_topic}/{self.kafka_partition}/{self.kafka_offset}"

    @property
    def first_place(self) -> str:
        """The same of the first letter there was of this event, before any replay."""
        return self.origin or self.place

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers; texts are UTF-8."""
        fields = {
            "dlq.topic": self.kafka_topic,
            "dlq.partition": str(self.kafka_partition),
            "dlq.offset": str(self.kafka_offset),
            "dlq.failed_at": isoformat_of(self.failed_at_ms),
            "dlq.error_code": self.error_code,
            "dlq.reason": self.reason,
            "dlq.event_id": self.event_id,
            "dlq.event_type": self.event_type,
            "dlq.service": self.service,
        }
        if self.origin:
            fields |= {ATTEMPTS: str(self.attempts), ORIGIN: self.origin}
        return [*((name, text.encode("utf-8", "replace")) for name, text in fields.items()), *self.record_headers]


def replayed(headers: Iterable[tuple[str, bytes | None]]) -> tuple[int, str]:
    """`attempts` and `origin` of a record of `events.v1` that is refused: 0 and '' unless it is a replayed letter."""
    texts = {name: _decoded(value) for name, value in headers if name in (ATTEMPTS, ORIGIN)}
    attempts, origin = texts.get(ATTEMPTS, ""), texts.get(ORIGIN, "")
    if not (_PLACE.fullmatch(origin) and attempts.isdecimal() and 0 < len(attempts) <= len(str(_MOST_ATTEMPTS))):
        return 0, ""
    return int(attempts), origin


def headers_to_keep(headers: Iterable[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes], ...]:
    """A record's headers but for those of letters and of its gateway; none when they are too long."""
    kept = tuple((name, value or b"") for name, value in without_acceptance(headers) if not name.startswith(_OURS))
    is_short = sum(len(name.encode("utf-8", "replace")) + len(value) for name, value in kept) <= MAX_RECORD_HEADERS_BYTES
    return kept if is_short else ()


def read_dead_letter(headers: Iterable[tuple[str, bytes | None]], key: bytes | None, value: bytes | None) -> DeadLetter:
    """The dead letter a record of `dlq.v1` is. Raises ValueError that names the header at fault."""
    headers = list(headers)
    texts = {name: _decoded(text) for name, text in headers if name.startswith(_OURS)}
    attempts, origin = replayed(headers)
    return DeadLetter(
        kafka_topic=_text(texts, "dlq.topic"),
        kafka_partition=_number(texts, "dlq.partition"),
        kafka_offset=_number(texts, "dlq.offset"),
        failed_at_ms=_instant(texts, "dlq.failed_at"),
        error_code=_text(texts, "dlq.error_code"),
        reason=_text(texts, "dlq.reason"),
        event_id=texts.get("dlq.event_id", ""),
        event_type=texts.get("dlq.event_type", ""),
        service=texts.get("dlq.service", ""),
        key=key,
        value=value or b"",
        attempts=attempts,
        origin=origin,
        record_headers=headers_to_keep(headers),
    )


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "replace")


def _text(texts: dict[str, str], name: str) -> str:
    if not texts.get(name):
        raise ValueError(f"header {name} is missing")
    return texts[name]


def _number(texts: dict[str, str], name: str) -> int:
    text = _text(texts, name)
    if not text.isdecimal():
        raise ValueError(f"header {name} is {text!r}, not a number")
    return int(text)


def _instant(texts: dict[str, str], name: str) -> int:
    text = _text(texts, name)
    try:
        return to_ms(datetime.fromisoformat(text))
    except (ValueError, TypeError):
        raise ValueError(f"header {name} is {text!r}, not an instant in UTC") from None
