"""A circuit breaker per receiver: one that is down is left alone for a while, and whoever can stand in for it is told at once.

purgatory behind an interface of our own: after `_FAILURES` failures in a row it is open for `_OPEN_S`, then one attempt decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

from alerting.notify.receiver import Attempt
from pipeline.runtime.clock import Clock

_FAILURES: Final = 4
_OPEN_S: Final = 20.0
_SHORTEST_WAIT_S: Final = 0.1


class _Failed(Exception):
    """Tells purgatory, which counts exceptions."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt


class Breaker:
    """A receiver that refuses a message or asks for patience works; one that does not answer, or answers 5xx, does not."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name, self._clock = name, clock
        self._breaker: AsyncCircuitBreaker | None = None

    @property
    def is_open(self) -> bool:
        """Its last attempts failed; it may be time for another one all the same (`call`)."""
        return self._breaker is not None and self._breaker.context.state == "opened"

    @property
    def left_s(self) -> float:
        """Seconds until it lets an attempt through."""
        opened_at_s = self._breaker.context.opened_at if self._breaker is not None else None
        if opened_at_s is None:
            return 0.0
        # By wall time, as purgatory counts; it may have been set back meanwhile.
        return min(_OPEN_S, max(_SHORTEST_WAIT_S, opened_at_s + _OPEN_S - self._clock.now_ms() / 1000))

    async def call(self, attempt: Callable[[], Awaitable[Attempt]]) -> Attempt | None:
        """What came of `attempt`; None: it was not made, the breaker is open."""
        if self._breaker is None:
            factory = AsyncCircuitBreakerFactory(default_threshold=_FAILURES, default_ttl=_OPEN_S)
            self._breaker = await factory.get_breaker(self._name)
        try:
            async with self._breaker:
                made = await attempt()
                if made.outcome == "retry" and not made.busy:
                    raise _Failed(made)
                return made
        except _Failed as failed:
            return failed.attempt
        except OpenedState:
            return None
