"""Bounds the bodies that are being read, their bytes and how many there are; whoever takes his time makes room for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.gateway import limits
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter


@dataclass(slots=True, eq=False)
class Reading:
    """One body on its way: since when, how much of it is here, and the deadline that whoever reads it has set."""

    admission: BodyAdmission
    began_at: float
    size: int = 0
    deadline: asyncio.Timeout | None = None

    def add(self, size: int) -> None:
        """Raises RetryAfter when all bodies together are too large and none of them is slow."""
        self.admission.make_room(self, size)
        self.size += size


@dataclass(slots=True)
class BodyAdmission:
    """At most MAX_READING_REQUESTS bodies and MAX_READING_BYTES of them at once.

    One more is let in by cutting off those that have been on their way for longest, if that is longer than SLOW_BODY_S: a few that
    never end could else keep everybody out. Otherwise the one more is refused, for the others are as good.
    """

    clock: Clock
    _open: dict[Reading, None] = field(default_factory=dict)
    _bytes: int = 0

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """One body. Raises RetryAfter when too many are being read."""
        while len(self._open) >= limits.MAX_READING_REQUESTS:
            self._cut_off_slowest(None)
        reading = Reading(self, self.clock.monotonic())
        self._open[reading] = None
        try:
            yield reading
        finally:
            self._close(reading)

    def make_room(self, reading: Reading, size: int) -> None:
        """For so many bytes more of `reading`."""
        while self._bytes + size > limits.MAX_READING_BYTES:
            self._cut_off_slowest(reading)
        self._bytes += size

    def _cut_off_slowest(self, except_for: Reading | None) -> None:
        slowest = next((reading for reading in self._open if reading is not except_for), None)
        if slowest is None or self.clock.monotonic() - slowest.began_at < limits.SLOW_BODY_S:
            raise RetryAfter("too much is being received at this moment; send the same request again")
        self._close(slowest)
        if slowest.deadline is not None:
            slowest.deadline.reschedule(0)

    def _close(self, reading: Reading) -> None:
        self._open.pop(reading, None)
        self._bytes -= reading.size
        reading.size = 0
