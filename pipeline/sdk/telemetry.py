"""The publisher of a service: calls return at once, a thread of its own sends."""

from __future__ import annotations

import atexit
import logging
import os
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Final, Self, Unpack
from weakref import WeakSet

import orjson

from pipeline.runtime.clock import Clock, NewId, SystemClock, new_id
from pipeline.runtime.errors import ConfigurationError, Reject
from pipeline.sdk.attempt import Attempt
from pipeline.sdk.event_queue import EventQueue
from pipeline.sdk.limits import MAX_EVENT_BYTES, Limits
from pipeline.sdk.methods import EventMethods
from pipeline.sdk.quiet_log import QuietLog
from pipeline.sdk.sender import Sender
from pipeline.sdk.stats import Stats
from pipeline.sdk.transport import Transport

if TYPE_CHECKING:
    from pipeline.sdk.fields import About

_LOG: Final = logging.getLogger("pipeline.sdk")
_ENVELOPE: Final = ("user_id", "session_id", "trace", "flags")
_DEFAULT_LIMITS: Final = Limits()
_MAX_NAME: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

_instances: Final[WeakSet[Telemetry]] = WeakSet()


class Telemetry(EventMethods):
    """Publishes typed events to a gateway; one instance per process, made where the service starts, usable from any thread or task.

        telemetry = Telemetry("http://gateway:8100", service="menu-api", environment="production", version="1.4.2", write_key=key)
        telemetry.menu_generated(recipe_count=5, restrictions=["vegan"], generation_time_ms=1240.5, outcome="full", user_id="u-42")

    An event has its id and time from the moment of the call, so what is sent twice counts once. Nothing is kept on disk: events wait in
    a bounded queue, what does not fit is dropped and counted, and `stats` and the logger `pipeline.sdk` say so. The end of the process
    is held up for a few seconds at most while the rest is sent; a process that ends by `os._exit` or a signal should `close` before.
    After a fork the child begins empty and with a thread of its own, and the parent sends what was queued.

    Args:
        url: of the gateway; what is behind a proxy may have a path.
        service, environment, version: say in every event who sent it.
        write_key: one of the gateway's, if it asks for one.
        strict: for tests: a call that the gateway would complain about raises `Reject` with the reason. Without it nothing raises; the
            gateway judges, and what it rejects is counted and logged.

    Raises:
        ConfigurationError: an argument cannot be right.
    """

    def __init__(
        self,
        url: str,
        *,
        service: str,
        environment: str,
        version: str | None = None,
        write_key: str | None = None,
        strict: bool = False,
        limits: Limits = _DEFAULT_LIMITS,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        for what, name in (("service", service), ("environment", environment), ("version", "-" if version is None else version)):
            if not 1 <= len(name) <= _MAX_NAME:
                raise ConfigurationError(f"{what} has {len(name)} characters; 1 to {_MAX_NAME} are taken")
        source = {"service": service, "environment": environment} | ({} if version is None else {"version": version})
        self._source = orjson.Fragment(orjson.dumps(source))
        self._strict, self._limits, self._clock, self._new_id = strict, limits, clock or SystemClock(), new_id
        self._transport = Transport(url, write_key, self._clock)
        self._begin()
        atexit.register(self.close)
        _instances.add(self)

    def _begin(self) -> None:
        self._starting = RLock()
        self._thread: Thread | None = None
        self._log = QuietLog(self._clock)
        self._queue = EventQueue(self._limits, self._clock)
        self._sender = Sender(self._queue, self._transport, self._limits, self._clock, random.Random(), self._log)

    def _begin_after_fork(self) -> None:
        """The parent's queue, connection and thread are the parent's; its locks may have been held by threads that are not here."""
        was_closed = self._queue.is_closed
        self._transport.forget()
        self._begin()
        if was_closed:
            self._queue.close(0)

    def _capture(self, event_type: str, fields: Any) -> None:
        try:
            value = self._value(event_type, fields)
            if self._strict:
                _judge(event_type, value)
        except Reject as error:
            if self._strict:
                raise
            self._queue.drop(error.code)
            self._log.warning(f"{error.code} {event_type}", f"a telemetry event was dropped: {error}")
        else:
            if self._thread is None:
                self._start()
            self._queue.put(value)

    def _value(self, event_type: str, fields: dict[str, Any]) -> bytes:
        """The event as JSON. Raises Reject when there is none."""
        occurred_at: datetime | None = fields.pop("occurred_at", None)
        event = {
            "event_id": self._new_id(),
            "event_type": event_type,
            "schema_version": 1,
            "occurred_at": _instant(self._clock.now_ms()) if occurred_at is None else _zoned(event_type, occurred_at),
            "source": self._source,
        }
        for name in _ENVELOPE:
            if (about := fields.pop(name, None)) is not None:
                event[name] = about
        event["properties"] = fields
        try:
            value = orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY)
        except TypeError as error:
            raise Reject("invalid", f"{event_type}: {error}") from error
        if len(value) > MAX_EVENT_BYTES:
            raise Reject("too_large", f"{event_type}: it has {len(value)} bytes, at most {MAX_EVENT_BYTES} are taken")
        return value

    def _start(self) -> None:
        """Where no thread can be had any more, late in the end of the process, `close` does its work.

        A signal handler that publishes while the thread is made may start another one, which finds that it has nothing to do.
        """
        with self._starting:
            if self._thread is None:
                thread = self._thread = Thread(target=self._sender.run, name="telemetry", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    self._thread = None
                _at_exit_of_child(self.close)

    def attempt(self, provider: str, *, position: int | None = None, **about: Unpack[About]) -> Attempt:
        """Measure and classify one attempt at a provider: `with telemetry.attempt("ollama", position=0): …`, `async with` likewise.

        The block's exception decides the outcome of the one `provider_attempt` event and goes on unchanged; see `Attempt`.
        """
        return Attempt(self, self._clock, provider, position, about)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until every event of an earlier call is sent, rejected or dropped; False when that takes longer."""
        return self._queue.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Send what is queued, for at most `timeout_s` (`Limits.exit_timeout_s`), and stop; what is left is dropped, counted and logged."""
        atexit.unregister(self.close)
        timeout_s = self._limits.exit_timeout_s if timeout_s is None else timeout_s
        self._queue.close(timeout_s)
        self._sender.run()
        self._queue.flush(timeout_s)
        if unsent := self._queue.abandon():
            _LOG.warning("%d telemetry events could not be sent before the end and are lost", unsent)

    async def aclose(self, timeout_s: float | None = None) -> None:
        """`close` for a coroutine: the loop goes on meanwhile."""
        import asyncio  # noqa: PLC0415  who has no loop need not pay for it

        await asyncio.to_thread(self.close, timeout_s)

    def stats(self) -> Stats:
        """What became of the events so far."""
        return self._queue.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _instant(ms: int) -> str:
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def _zoned(event_type: str, occurred_at: datetime) -> str:
    if not isinstance(occurred_at, datetime) or occurred_at.tzinfo is None:
        raise Reject("invalid", f"{event_type}: occurred_at is a datetime with a time zone, not {occurred_at!r}")
    try:
        return _instant((occurred_at - _EPOCH) // _MS)
    except (ValueError, OverflowError, OSError) as error:
        raise Reject("invalid", f"{event_type}: occurred_at: {error}") from error


def _judge(event_type: str, value: bytes) -> None:
    """Raises Reject for what the gateway would refuse or, where it only observes, note."""
    from schemas.event import decode  # noqa: PLC0415  only tests need it, and it takes long to load

    decoded = decode([value])
    for bad in (*decoded.bad.values(), *decoded.violations.values()):
        raise Reject(bad.code, f"{event_type}: {bad.reason}")


def _at_exit_of_child(close: Callable[[], None]) -> None:
    """A child of multiprocessing ends without the handlers of atexit; it has its own."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and sys.modules["multiprocessing.process"].parent_process() is not None:
        util.Finalize(None, close, exitpriority=0)


def _begin_after_fork() -> None:
    for telemetry in list(_instances):
        telemetry._begin_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_after_fork)
