"""One attempt at a provider, measured, and its outcome told from the exception it ended with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from pipeline.runtime.clock import Clock
from pipeline.sdk.methods import EventMethods

if TYPE_CHECKING:
    from pipeline.sdk.fields import About

Outcome = Literal["success", "error", "timeout", "breaker_open", "denied"]

#: The longest that is believed (`schemas.envelope.DurationMs`).
_MAX_LATENCY_MS: Final = 3_600_000.0
_MAX_CAUSES: Final = 10
#: Names, so that nobody's library is needed: httpx.ReadTimeout, requests.Timeout, openai.APITimeoutError, grpc's DeadlineExceeded;
#: who is cancelled was mostly waited for too long, and a provider that always hangs must not look as if nobody had asked it.
_TIMEOUT: Final = re.compile(r"Time(d)?[Oo]ut|DeadlineExceeded|^Cancell?ed(Error)?$")
#: pybreaker, circuitbreaker and aiobreaker; purgatory.
_BREAKER: Final = re.compile(r"CircuitBreakerError|^OpenedState$|(Circuit|Breaker)(Is)?Open")
_BREAKER_MESSAGE: Final = re.compile(r"circuit breaker (is )?open", re.IGNORECASE)
_DENIED_STATUS: Final = frozenset({401, 402, 403, 429})
_TIMEOUT_STATUS: Final = frozenset({408, 504})


class Attempt:
    """What `Telemetry.attempt` gives; `with` or `async with`, once.

    `outcome` and `error_type` may be set in the block, for what no exception says: a breaker that was asked before, an empty answer.
    Else the outcome is `success` without an exception, and with one, or with what it was raised from:
    `breaker_open`  its class is that of a circuit breaker, or its message says that one is open
    `denied`        the provider would not serve us: HTTP 401, 402, 403 or 429 (`status`, `status_code`, or those of its `response`)
    `timeout`       TimeoutError, a class named so, a cancellation, HTTP 408 or 504
    `error`         anything else
    An exception that is no error of the block (KeyboardInterrupt, SystemExit, GeneratorExit) makes no event.
    """

    def __init__(self, telemetry: EventMethods, clock: Clock, provider: str, position: int | None, about: About) -> None:
        self.outcome: Outcome | None = None
        self.error_type: str | None = None
        self._telemetry, self._clock, self._provider, self._position, self._about = telemetry, clock, provider, position, about
        self._began_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = self._clock.monotonic()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        latency_ms = min((self._clock.monotonic() - self._began_s) * 1000, _MAX_LATENCY_MS)
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
            return
        error_type = self.error_type or (None if error is None else type(error).__name__[:100])
        self._telemetry.provider_attempt(
            provider=self._provider,
            position=self._position,
            outcome=self.outcome or ("success" if error is None else classify(error)),
            latency_ms=latency_ms,
            error_type=error_type,
            **self._about,
        )

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.__exit__(kind, error, traceback)


def classify(error: BaseException) -> Outcome:
    """The outcome that an exception stands for: that of the first in the chain of its causes that is more than an error."""
    return next((outcome for outcome in map(_own_outcome, _chain(error)) if outcome != "error"), "error")


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _own_outcome(error: BaseException) -> Outcome:
    names = [kind.__name__ for kind in type(error).__mro__]
    status = _status(error)
    if any(map(_BREAKER.search, names)) or _BREAKER_MESSAGE.search(_text(error)):
        return "breaker_open"
    if status in _DENIED_STATUS:
        return "denied"
    if isinstance(error, TimeoutError) or status in _TIMEOUT_STATUS or any(map(_TIMEOUT.search, names)):
        return "timeout"
    return "error"


def _text(error: BaseException) -> str:
    return error.args[0][:200] if error.args and isinstance(error.args[0], str) else ""


def _status(error: BaseException) -> int | None:
    """The HTTP status that aiohttp, httpx, requests, openai and anthropic keep in their errors, urllib as `code`."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None
