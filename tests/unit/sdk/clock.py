"""A clock that stands still until it is moved."""

from __future__ import annotations


class ManualClock:
    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_ms(self) -> int:
        return int(self.at_s * 1000)

    def monotonic(self) -> float:
        return self.at_s
