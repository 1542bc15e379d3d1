"""The thread's work: take batches from the queue and bring each to an end."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Final

import orjson

from pipeline.runtime.clock import Clock
from pipeline.sdk.event_queue import EventQueue
from pipeline.sdk.limits import Limits
from pipeline.sdk.quiet_log import QuietLog
from pipeline.sdk.transport import Complaint, Outcome, Refused, Taken, Transport, TryAgain

_TOO_LARGE: Final = 413
#: Said when the gateway itself fails on a request. Others would be taken: so long a batch is tried whole, and so long a single event.
_GATEWAY_FAILED: Final = 500
_WHOLE_FOR_S: Final = 10.0
_SINGLE_FOR_S: Final = 120.0
_MAX_DOUBLINGS: Final = 16


class Sender:
    """Sends one batch after the other, in order; a batch is tried until the gateway has taken or refused it, or time is up."""

    def __init__(self, queue: EventQueue, transport: Transport, limits: Limits, clock: Clock, chance: random.Random, log: QuietLog) -> None:
        self._queue, self._transport, self._limits = queue, transport, limits
        self._clock, self._chance, self._log = clock, chance, log
        self._sending = Lock()

    def run(self) -> None:
        """Until the queue is closed and empty, or its time is up; returns at once where another call is at it."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            while batch := self._queue.take():
                self._deliver(batch)
            self._transport.close()
        finally:
            self._sending.release()

    def _deliver(self, batch: Sequence[bytes]) -> bool:
        """False when there is no more time; then nothing is said about the batch."""
        try:
            outcome = self._insist(batch)
            if isinstance(outcome, Taken):
                self._tell("rejected", batch, outcome.rejected)
                self._tell("warned about", batch, outcome.warnings)
        except Exception:  # the thread must go on, whatever happened to this batch
            logging.getLogger(__name__).exception("the telemetry SDK failed on a batch of %d events", len(batch))
            self._queue.settle(batch, dropped="failed")
            return True
        if isinstance(outcome, TryAgain):
            return False
        if isinstance(outcome, Taken):
            self._queue.settle(batch, rejected=len(outcome.rejected), warned=len(outcome.warnings))
        elif outcome.status in (_TOO_LARGE, _GATEWAY_FAILED) and len(batch) > 1:
            return self._deliver(batch[: len(batch) // 2]) and self._deliver(batch[len(batch) // 2 :])
        else:
            self._refused(batch, outcome)
        return True

    def _insist(self, batch: Sequence[bytes]) -> Outcome:
        """Try until the gateway has taken or refused the batch, or fails on it for too long; TryAgain when there is no more time."""
        attempt, began_s = 0, self._clock.monotonic()
        while isinstance(outcome := self._transport.post(batch, self._timeout_s()), TryAgain):
            self._say_why(outcome)
            tried_s = self._clock.monotonic() - began_s
            if outcome.status == _GATEWAY_FAILED and tried_s > (_SINGLE_FOR_S if len(batch) == 1 else _WHOLE_FOR_S):
                return Refused(_GATEWAY_FAILED, outcome.reason)
            if not self._queue.pause(self._pause_s(attempt, outcome), may_be_cut_short=outcome.after_s is None):
                return outcome
            attempt += 1
        return outcome

    def _timeout_s(self) -> float:
        left_s = self._queue.time_left_s()
        return self._limits.request_timeout_s if left_s is None else min(self._limits.request_timeout_s, max(0.1, left_s))

    def _pause_s(self, attempt: int, outcome: TryAgain) -> float:
        """Full jitter; never earlier than the server asked for, and not all at that moment."""
        limits = self._limits
        longest_s = min(limits.max_backoff_s, limits.backoff_s * 2 ** min(attempt, _MAX_DOUBLINGS))
        return min(outcome.after_s or 0.0, limits.max_retry_after_s) + self._chance.uniform(0, longest_s)

    def _say_why(self, outcome: TryAgain) -> None:
        stats = self._queue.stats()
        dropped = stats.dropped.get("queue_full", 0)
        fate = f"; {dropped} were dropped because the queue is full" if dropped else ""
        self._log.warning("away", f"the telemetry gateway does not take events ({outcome.reason}); {stats.queued} are kept{fate}")

    def _refused(self, batch: Sequence[bytes], outcome: Refused) -> None:
        reason = f"http_{outcome.status}"
        self._log.warning(reason, f"the telemetry gateway refused {len(batch)} events for good: {outcome.message}")
        self._queue.settle(batch, dropped=reason)

    def _tell(self, what: str, batch: Sequence[bytes], complaints: Iterable[Complaint]) -> None:
        for complaint in complaints:
            event = orjson.loads(batch[complaint.index])
            name, where = event["event_type"], complaint.field or "the event"
            text = f"the telemetry gateway {what} {name} {event['event_id']}: {where}: {complaint.message}"
            self._log.warning(f"{what} {name} {complaint.field}", text)
