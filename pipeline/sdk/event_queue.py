"""Events between the threads that call and the one that sends: bounded, in order, and each accounted for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import islice
from threading import Condition, RLock

from pipeline.runtime.clock import Clock
from pipeline.sdk.limits import Limits
from pipeline.sdk.stats import Stats


class EventQueue:
    """`put` and `drop` never wait for more than another thread's few instructions; `take`, `pause`, `flush` and `close` wait.

    The lock is one that its thread may take again: a signal handler or a finaliser may call in the middle of a call.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._waiting: deque[bytes] = deque()
        self._first_at_s = 0.0
        self._bytes = 0
        self._put = self._settled = self._flush_to = 0
        self._sent = self._warned = self._rejected = 0
        self._dropped: Counter[str] = Counter()
        self._close_by_s: float | None = None
        self._given_up = self._abandoned = False
        self._at_attempt: tuple[int, float | None] = (0, None)  # `_flush_to` and `_close_by_s` when the last attempt began

    def put(self, value: bytes) -> None:
        """Queue an event, or drop it as `queue_full` or `closed`: what came first is kept, so an outage has a beginning."""
        limits, size = self._limits, len(value)
        with self._lock:
            if self._close_by_s is not None:
                self._dropped["closed"] += 1
                return
            if self._put - self._settled >= limits.queue_events or self._bytes + size > limits.queue_bytes:
                self._dropped["queue_full"] += 1
                return
            self._waiting.append(value)
            self._bytes += size
            self._put += 1
            waiting = len(self._waiting)
            if waiting == 1:
                self._first_at_s = self._clock.monotonic()
            if waiting in (1, limits.batch_events):
                self._notify()

    def drop(self, reason: str) -> None:
        """Count an event that cannot even be queued."""
        with self._changed:
            self._dropped[reason] += 1

    def take(self) -> Sequence[bytes]:
        """Wait for events and for others to join them; empty when there will be no more, or no more time for them."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._close_by_s is not None)
            while (linger_s := self._linger_s()) > 0:
                self._changed.wait(linger_s)
            self._at_attempt = (self._flush_to, self._close_by_s)
            return [] if self._is_over() else self._batch()

    def _linger_s(self) -> float:
        is_due = self._close_by_s is not None or self._settled < self._flush_to or len(self._waiting) >= self._limits.batch_events
        return 0.0 if is_due else self._first_at_s + self._limits.linger_s - self._clock.monotonic()

    def _batch(self) -> Sequence[bytes]:
        batch: list[bytes] = []
        size = 0
        for value in islice(self._waiting, self._limits.batch_events):
            size += len(value) + 1
            if batch and size > self._limits.batch_bytes:
                break
            batch.append(value)
        for _ in batch:
            self._waiting.popleft()
        return batch  # what remains has waited long enough: no new lingering

    def settle(self, batch: Sequence[bytes], *, rejected: int = 0, warned: int = 0, dropped: str = "") -> None:
        """What was taken is done with: sent but for `rejected`, or all of it dropped for a reason."""
        with self._changed:
            if self._abandoned:
                return
            self._settled += len(batch)
            self._bytes -= sum(map(len, batch))
            if dropped:
                self._dropped[dropped] += len(batch)
            else:
                self._sent += len(batch) - rejected
                self._rejected += rejected
                self._warned += warned
            self._notify()

    def pause(self, seconds: float, *, may_be_cut_short: bool) -> bool:
        """Wait before the next attempt; False when there is no time for another.

        A `flush` or `close` since the last attempt began may cut it short, once each.
        """
        with self._changed:
            until_s = self._clock.monotonic() + seconds
            while (left_s := until_s - self._clock.monotonic()) > 0:
                if may_be_cut_short and (self._flush_to, self._close_by_s) != self._at_attempt:
                    break
                if self._close_by_s is not None and until_s > self._close_by_s:
                    self._given_up = True
                    self._notify()
                    return False
                self._changed.wait(left_s)
            self._at_attempt = (self._flush_to, self._close_by_s)
            return not self._is_over()

    def time_left_s(self) -> float | None:
        """Until `close` gives up; None before it was called."""
        with self._changed:
            return None if self._close_by_s is None else self._close_by_s - self._clock.monotonic()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that has been put before is sent, rejected or dropped; False when that takes longer."""
        with self._changed:
            target = self._flush_to = self._put
            self._notify()
            self._changed.wait_for(lambda: self._settled >= target or self._given_up, timeout_s)
            return self._settled >= target

    def close(self, timeout_s: float) -> None:
        """From now on nothing is put any more, and the thread that sends has so long to finish."""
        with self._changed:
            if self._close_by_s is None:
                self._close_by_s = self._clock.monotonic() + timeout_s
            self._notify()

    @property
    def is_closed(self) -> bool:
        return self._close_by_s is not None

    def abandon(self) -> int:
        """Drop all that is not settled, as `unsent`; how many that were."""
        with self._changed:
            unsent = self._put - self._settled
            if unsent:
                self._dropped["unsent"] += unsent
            self._settled, self._bytes = self._put, 0
            self._given_up = self._abandoned = True
            self._waiting.clear()
            self._notify()
            return unsent

    def stats(self) -> Stats:
        with self._changed:
            return Stats(self._put - self._settled, self._sent, self._warned, self._rejected, dict(self._dropped))

    def _notify(self) -> None:
        try:
            self._changed.notify_all()
        except RuntimeError:  # a signal handler in the middle of it has woken the same threads
            return

    def _is_over(self) -> bool:
        return self._given_up or (self._close_by_s is not None and self._clock.monotonic() >= self._close_by_s)
