"""The mark of the gateway that accepted a record, as a Kafka header: whose loss it would be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

#: The value is the `source` of the gateway's `accepted_count` events. Records that others write have no such header.
ACCEPTED_BY: Final = "accepted_by"
_MAX_BYTES: Final = 100

V = TypeVar("V", bytes, bytes | None)


def accepted_by(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The gateway that accepted a record with these headers, '' when none did."""
    for name, value in headers:
        if name == ACCEPTED_BY:
            return value.decode() if value and value.isascii() and len(value) <= _MAX_BYTES else ""
    return ""


def without_acceptance(headers: Iterable[tuple[str, V]]) -> Sequence[tuple[str, V]]:
    """Headers for another record with the same event: the first one is what was accepted, and is accounted for."""
    return [(name, value) for name, value in headers if name != ACCEPTED_BY]
