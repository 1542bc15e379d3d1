"""Instants on the wire: ISO 8601 in UTC with milliseconds and Z; in memory, integers of milliseconds since 1970 or aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer, TypeAdapter

#: With pydantic's own object for UTC: between two times that share theirs, Python subtracts without asking it for the offset.
_EPOCH_AS_VALIDATED = TypeAdapter(AwareDatetime).validate_json('"1970-01-01T00:00:00Z"')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970, rounded down; exact (no float in between)."""
    return (instant - _EPOCH_AS_VALIDATED) // _MS


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of a number of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def isoformat_ms(instant: datetime) -> str:
    """`2026-11-23T10:00:00.123Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def isoformat_of(ms: int) -> str:
    """The same of a number of milliseconds since 1970."""
    return isoformat_ms(from_ms(ms))


Timestamp = Annotated[AwareDatetime, PlainSerializer(isoformat_ms, return_type=str, when_used="json")]
