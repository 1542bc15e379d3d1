"""Menus by hand, and the flushes a worker would make of them: a fold of its own, so that the engine is not tested against itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from schemas.pane import Flush, Pane
from schemas.timestamps import from_ms

#: 2026-11-23 10:00:00 UTC, the start of a minute.
T0_MS = 1_795_428_000_000


@dataclass
class Source:
    """One partition of events.v1: menus go in, flushes with absolute snapshots come out. Times are seconds after `base_ms`."""

    partition: int = 0
    base_ms: int = T0_MS
    offset: int = -1
    watermark_ms: int | None = None
    cells: dict[tuple[int, str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    changed: set[tuple[int, str, str]] = field(default_factory=set)

    def menus(self, at_s: float, count: int = 1, *, outcome: str = "full", provider: str = "ollama", each_ms: float = 1000.0) -> Source:
        """`count` menus that occurred at `at_s`."""
        at_ms = self.base_ms + round(at_s * 1000)
        key = (at_ms // 10_000 * 10_000, provider, outcome)
        self.cells[key][0] += count
        self.cells[key][1] += count * round(each_ms * 1_000_000)
        self.changed.add(key)
        self.offset += count
        self.watermark_ms = max(at_ms, self.watermark_ms or at_ms)
        return self

    def failures(self, at_s: float, count: int = 1, *, provider: str = "ollama", each_ms: float = 1000.0) -> Source:
        return self.menus(at_s, count, outcome="failed", provider=provider, each_ms=each_ms)

    def flush(self, *, caught_up_s: float | None = None, with_watermark: bool = True) -> Flush:
        """What changed since the last one."""
        panes = [
            Pane(
                metric="menu_generation",
                labels={"provider": provider, "outcome": outcome},
                start=from_ms(start),
                count=self.cells[start, provider, outcome][0],
                sum=self.cells[start, provider, outcome][1],
                buckets={},
                last_offset=self.offset,
                version=2 * self.offset,
            )
            for start, provider, outcome in sorted(self.changed)
        ]
        self.changed.clear()
        return Flush(
            source_partition=self.partition,
            last_offset=self.offset,
            watermark=from_ms(self.watermark_ms) if self.watermark_ms is not None and with_watermark else None,
            caught_up_at=None if caught_up_s is None else from_ms(self.base_ms + round(caught_up_s * 1000)),
            panes=panes,
        )


def sources(count: int = 12, base_ms: int = T0_MS) -> list[Source]:
    return [Source(partition, base_ms) for partition in range(count)]


def now_at(at_s: float) -> int:
    """Milliseconds of the wall clock, in seconds after T0_MS."""
    return T0_MS + round(at_s * 1000)
