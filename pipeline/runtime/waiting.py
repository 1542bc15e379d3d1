"""A wait for something outside, told so that a log stays readable however long it lasts."""

from __future__ import annotations

from typing import Final

import structlog

from pipeline.runtime.clock import Clock

log: Final = structlog.get_logger(__name__)

#: While it lasts a wait says so this often.
REMINDER_S: Final = 30.0


class Waiting:
    """One thing at a time is waited for: `goes_on` with each failed attempt, `over` with the first that succeeds.

    Two lines a minute at most, and one at the end that says how long it was.

    Attributes:
        reason: why the last attempt failed; None while nothing is waited for.
    """

    def __init__(self, what: str, clock: Clock) -> None:
        """`what` cannot be done meanwhile: "writing rows"."""
        self._what, self._clock = what, clock
        self._began = self._told = 0.0
        self.reason: str | None = None

    def goes_on(self, reason: str, attempt_began: float | None = None) -> float:
        """Note a failed attempt; returns for how many seconds nothing has succeeded.

        Args:
            reason: one line.
            attempt_began: monotonic seconds; of the first attempt that fails it is the beginning: one that hung has waited already.
        """
        now = self._clock.monotonic()
        if self.reason is None:
            self._began = now if attempt_began is None else attempt_began
        if self.reason is None or now - self._told >= REMINDER_S:
            self._told = now
            log.warning(f"{self._what} waits", reason=reason, since_s=round(now - self._began, 1))
        self.reason = reason
        return now - self._began

    def over(self) -> None:
        """Note success."""
        if self.reason is not None:
            self.reason = None
            log.info(f"{self._what} goes on", waited_s=round(self._clock.monotonic() - self._began, 1))
