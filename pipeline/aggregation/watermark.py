"""How far a partition's time has come, and which panes are still open: functions of the log, never of a clock."""

from __future__ import annotations

from typing import Final

from schemas.pane import PANE_MS

#: A pane is open while its start is at most this far behind the partition's watermark.
OPEN_MS: Final = 15 * 60_000
#: A sender's clock may be this far ahead of the broker's.
AHEAD_MS: Final = 10 * 60_000
HOUR_MS: Final = 3_600_000


def clamp(occurred_ms: int, received_ms: int) -> int:
    """The time an event counts at: its own, or the broker's when its own is more than ten minutes ahead."""
    return received_ms if occurred_ms > received_ms + AHEAD_MS else occurred_ms


def pane_start(occurred_ms: int) -> int:
    """Start of the ten seconds an instant lies in, all in ms since 1970."""
    return occurred_ms - occurred_ms % PANE_MS


def oldest_open(watermark_ms: int) -> int:
    """Panes that start before this are closed for the fold: only a repair writes them."""
    return watermark_ms - OPEN_MS


def hour_of(instant_ms: int) -> int:
    """Start of the UTC hour."""
    return instant_ms - instant_ms % HOUR_MS
