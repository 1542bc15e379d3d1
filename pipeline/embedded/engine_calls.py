"""The engine seen from asyncio: calls in threads, bounded in number, killed when their request goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Handle

READERS = 8
WRITERS = 8
_QUEUE_PER_SLOT = 8
_QUEUE_TIMEOUT_S = 20.0
_KILL_INTERVAL_S = 0.2
_STUCK_S = 30.0

P = ParamSpec("P")
T = TypeVar("T")


class Slots:
    """At most `count` statements at once; some more wait for a while, the rest is told at once that there are too many."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._limit = count * _QUEUE_PER_SLOT
        self.waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises EngineError (202) when there is no slot."""
        await self._acquire()
        try:
            yield
        finally:
            self._free.release()

    async def _acquire(self) -> None:
        if self.waiting >= self._limit:
            raise _too_many()
        self.waiting += 1
        try:
            async with asyncio.timeout(_QUEUE_TIMEOUT_S):
                await self._free.acquire()
        except TimeoutError:
            raise _too_many() from None
        finally:
            self.waiting -= 1


class EngineCalls:
    """Runs the engine's blocking calls in threads. `stop` kills what runs, so that closing the engine does not wait."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.readers, self.writers = Slots(READERS), Slots(WRITERS)
        self._pool = ThreadPoolExecutor(READERS + WRITERS + 4, "engine")
        self._control = ThreadPoolExecutor(2, "engine-control")
        self._control_since: dict[object, float] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def stuck(self) -> str | None:
        """Why the process should be restarted: a statement of the server's own has not come back; None while it does its work."""
        oldest = min(self._control_since.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > _STUCK_S:
            return "the engine does not answer"
        return None

    async def control(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For short statements of the server's own, which must not wait behind anybody's."""
        call = object()
        self._control_since[call] = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._control, lambda: function(*args, **kwargs))
        finally:
            del self._control_since[call]

    @asynccontextmanager
    async def request(self, token: str) -> AsyncIterator[EngineRequest]:
        """One request's use of the engine; `token` must stand at the end of the `log_comment` of its statements."""
        request = EngineRequest(self, self._pool, token)
        try:
            yield request
        finally:
            if request.is_busy:
                task = asyncio.create_task(request.give_up())
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            else:
                request.close()

    async def stop(self, timeout_s: float) -> None:
        """Kill everything and close the engine; after `timeout_s` leave it to the end of the process."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.control(self.engine.kill_all)
                while self._ending:
                    await asyncio.wait(self._ending)
                await self.control(self.engine.close)
        except TimeoutError:
            return
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._control.shutdown(wait=False, cancel_futures=True)


class EngineRequest:
    """The calls of one request, one after the other."""

    def __init__(self, calls: EngineCalls, pool: ThreadPoolExecutor, token: str) -> None:
        self._calls, self._pool, self._token = calls, pool, token
        self._running: asyncio.Future[Any] | None = None
        self._handles: list[Handle] = []

    @property
    def is_busy(self) -> bool:
        """Whether something was begun that has not come to its end."""
        return self._is_running or any(handle.is_busy for handle in self._handles)

    @property
    def _is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def closes(self, handle: Handle) -> Handle:
        """Have `handle` closed at the end of the request, once nothing runs on it any more."""
        self._handles.append(handle)
        return handle

    def keeps(self, handle: Handle) -> None:
        """Do not close `handle`: somebody else holds it from now on."""
        self._handles.remove(handle)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread. When this is cancelled the call goes on until the end of `EngineCalls.request` kills it."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))
        self._running = future
        return await asyncio.shield(future)

    async def give_up(self) -> None:
        """Kill what runs, then close; a statement that is only about to start is not seen by the first KILL."""
        while self._running is not None and not self._running.done():
            await self._calls.control(self._calls.engine.kill, self._token)
            await asyncio.wait([self._running], timeout=_KILL_INTERVAL_S)
        if self._running is not None:
            self._running.exception()  # nobody else looks at it
        await self._calls.control(self.close)

    def close(self) -> None:
        for handle in self._handles:
            handle.close()


def _too_many() -> EngineError:
    return EngineError.of(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries for the embedded engine: try again later")
