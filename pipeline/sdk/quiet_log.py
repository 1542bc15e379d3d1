"""Says each kind of trouble at once and then seldom: a mistake at 1,000 events a second is one line, not 1,000."""

from __future__ import annotations

import logging
from threading import RLock
from typing import Final

from pipeline.runtime.clock import Clock

_EVERY_S: Final = 30.0
_MAX_KINDS: Final = 200

_LOG: Final = logging.getLogger("pipeline.sdk")


class QuietLog:
    """Warnings of the logger `pipeline.sdk`; a kind is said at most every 30 s, then with how often it was held back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = RLock()
        self._said: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, text: str) -> None:
        now_s = self._clock.monotonic()
        with self._lock:
            said_at_s, held_back = self._said.get(kind, (now_s - _EVERY_S, 0))
            if now_s - said_at_s < _EVERY_S or (kind not in self._said and len(self._said) >= _MAX_KINDS):
                if kind in self._said:
                    self._said[kind] = (said_at_s, held_back + 1)
                return
            self._said[kind] = (now_s, 0)
        _LOG.warning("%s", f"{text} (and {held_back} more like this)" if held_back else text)
