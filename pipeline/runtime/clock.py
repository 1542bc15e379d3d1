"""Where time and identifiers come from; passed in, so that a test can own both."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import uuid_utils.compat


class Clock(Protocol):
    """Wall time in milliseconds since 1970 (UTC) and a monotonic time in seconds."""

    def now_ms(self) -> int: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


NewId = Callable[[], str]


def new_id() -> str:
    """A UUIDv7: unique, and sorted by the time it was made (RFC 9562)."""
    return str(uuid_utils.compat.uuid7())
