"""Up to when everything that was appended to a partition has been read. Pure."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_KEPT = 120  # a reader further behind than this many questions is not near the end, and nobody asks


class LogEnd(NamedTuple):
    """`offset` was the end of the log (the next record's offset) at or after wall time `learnt_at_ms`."""

    offset: int
    learnt_at_ms: int


class LogEnds:
    """What was learnt about the end of one partition during one ownership, and which of it a position has reached."""

    def __init__(self) -> None:
        self.newest: LogEnd | None = None
        self._ahead: deque[LogEnd] = deque(maxlen=_KEPT)
        self._reached_ms: int | None = None

    def learn(self, offset: int, asked_at_ms: int) -> None:
        """Note an end of the log. `asked_at_ms` is when the question left: the answer may be as old as that, and never older."""
        self.newest = LogEnd(offset, asked_at_ms)
        if self._ahead and self._ahead[-1].offset == offset:
            self._ahead[-1] = self.newest
        else:
            self._ahead.append(self.newest)

    def caught_up_at_ms(self, position: int) -> int | None:
        """The latest wall time such that every record appended before it lies below `position`; None while none is known.

        `position` must not go back between calls.
        """
        while self._ahead and self._ahead[0].offset <= position:
            self._reached_ms = self._ahead.popleft().learnt_at_ms
        return self._reached_ms
