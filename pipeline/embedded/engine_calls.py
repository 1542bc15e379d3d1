"""The engine seen from asyncio: calls in threads, bounded in number, killed when their request goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, ParamSpec, Protocol, TypeVar

from pipeline.embedded.engine import Engine
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Handle

READERS = 8
WRITERS = 8
QUEUE_PER_SLOT = 8
_QUEUE_TIMEOUT_S = 20.0
_KILL_INTERVAL_S = 0.1
_STUCK_S = 30.0

P = ParamSpec("P")
T = TypeVar("T")


class Closable(Protocol):
    def close(self) -> None: ...


class Slots:
    """At most `count` statements at once; some more wait for a while, the rest is told at once that there are too many."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._limit = count * QUEUE_PER_SLOT
        self.waiting = 0

    async def acquire(self) -> None:
        """Raises EngineError (202) when there is no slot."""
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

    def release(self) -> None:
        self._free.release()


class EngineCalls:
    """Runs the engine's blocking calls in threads. `stop` kills what runs, so that closing the engine does not wait."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.readers, self.writers = Slots(READERS), Slots(WRITERS)
        self._pools = {
            "statements": ThreadPoolExecutor(READERS + WRITERS, "engine"),
            "control": ThreadPoolExecutor(2, "engine-control"),
            "kill": ThreadPoolExecutor(1, "engine-kill"),
            "spool": ThreadPoolExecutor(2, "spool"),
        }
        self._control_since: dict[object, float] = {}
        self._doomed: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def control(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For short statements of the server's own, which must not wait behind anybody's."""
        call = object()
        self._control_since[call] = time.monotonic()
        try:
            return await self._in("control", lambda: function(*args, **kwargs))
        finally:
            del self._control_since[call]

    async def spool(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """For what waits for the disk and not for the engine."""
        return await self._in("spool", lambda: function(*args, **kwargs))

    def stuck(self) -> str | None:
        """Why the process should be restarted: a statement of the server's own has not come back; None while it does its work."""
        oldest = min(self._control_since.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > _STUCK_S:
            return "the engine does not answer"
        return None

    @asynccontextmanager
    async def request(self, slots: Slots, token: str, files: Sequence[Closable] = ()) -> AsyncIterator[EngineRequest]:
        """One request's use of the engine, in a slot that is free again when its last call has ended, whatever became of the request.

        `token` must be the last word in the `log_comment` of its statements. `files` are those the engine reads by their number; they
        are closed at the end too, not earlier, when the number could become another file's. Raises EngineError (202): no slot.
        """
        request = EngineRequest(self._pools["statements"], files)
        try:
            await slots.acquire()
        except BaseException:
            request.close()
            raise
        try:
            yield request
        finally:
            if request.is_busy:
                task = asyncio.create_task(self._give_up(request, slots, token))
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
            else:
                request.close()
                slots.release()

    async def _give_up(self, request: EngineRequest, slots: Slots, token: str) -> None:
        """Kill what runs, then close. A statement that is only about to start is not seen by the first KILL."""
        self._doomed.add(token)
        try:
            while not await request.ended_within(_KILL_INTERVAL_S):
                with suppress(EngineError):
                    await self._in("kill", lambda: self.engine.kill(set(self._doomed)))
        finally:
            self._doomed.discard(token)
            await self._in("kill", request.close)
            slots.release()

    async def kill_all(self) -> None:
        """Make every statement that runs fail now."""
        with suppress(EngineError):
            await self._in("kill", self.engine.kill_all)

    async def stop(self, timeout_s: float) -> None:
        """Kill everything and close the engine; after `timeout_s` leave it to the end of the process."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.kill_all()
                while self._ending:
                    await asyncio.wait(self._ending)
                await self._in("control", self.engine.close)
        except TimeoutError:
            return
        finally:
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)

    async def _in(self, pool: str, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pools[pool], function)


class EngineRequest:
    """The calls of one request, one after the other."""

    def __init__(self, pool: ThreadPoolExecutor, files: Sequence[Closable]) -> None:
        self._pool, self._files = pool, files
        self._running: asyncio.Future[Any] | None = None
        self._handles: list[Handle] = []

    @property
    def is_busy(self) -> bool:
        """Whether something was begun that has not come to its end."""
        running = self._running is not None and not self._running.done()
        return running or any(handle.is_busy for handle in self._handles)

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

    async def ended_within(self, seconds: float) -> bool:
        """Whether the call that runs has come back."""
        if self._running is None:
            return True
        done, _ = await asyncio.wait([self._running], timeout=seconds)
        for future in done:
            future.exception()  # nobody else looks at it
        return bool(done)

    def close(self) -> None:
        for closable in (*self._handles, *self._files):
            closable.close()


def _too_many() -> EngineError:
    return EngineError.of(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries for the embedded engine: try again later")
