"""A record that could not be processed: original key and bytes on `dlq.v1`, everything about it in headers named `dlq.*`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NotRequired, TypeAlias

from pydantic import StringConstraints
from typing_extensions import TypedDict

from schemas.timestamps import Timestamp, from_ms, isoformat_ms, to_ms

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
    },
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record. (`kafka_topic`, `kafka_partition`, `kafka_offset`) names it: written again it is the same one."""

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

    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers; texts are UTF-8."""
        fields = {
            "dlq.topic": self.kafka_topic,
            "dlq.partition": str(self.kafka_partition),
            "dlq.offset": str(self.kafka_offset),
            "dlq.failed_at": isoformat_ms(from_ms(self.failed_at_ms)),
            "dlq.error_code": self.error_code,
            "dlq.reason": self.reason,
            "dlq.event_id": self.event_id,
            "dlq.event_type": self.event_type,
            "dlq.service": self.service,
        }
        return [(name, text.encode("utf-8", "replace")) for name, text in fields.items()]


def read_dead_letter(headers: Iterable[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> DeadLetter:
    """The dead letter a record of `dlq.v1` is; other headers are left alone. Raises ValueError that names the header at fault."""
    texts = {name: text.decode("utf-8", "replace") for name, text in headers}
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
    )


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
