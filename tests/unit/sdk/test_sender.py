from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pipeline.sdk.event_queue import EventQueue
from pipeline.sdk.limits import Limits
from pipeline.sdk.quiet_log import QuietLog
from pipeline.sdk.sender import Sender
from pipeline.sdk.transport import Outcome, Refused, Taken, TryAgain
from tests.unit.sdk.clock import ManualClock

LIMITS = Limits(linger_s=0.0, backoff_s=0.5, max_backoff_s=5.0, max_retry_after_s=60.0)


class PausedQueue(EventQueue):
    """Pauses are noted, and pass in no time: the clock is moved instead."""

    def __init__(self, limits: Limits, clock: ManualClock) -> None:
        super().__init__(limits, clock)
        self.pauses: list[float] = []
        self._moved = clock

    def pause(self, seconds: float, *, may_be_cut_short: bool) -> bool:
        self.pauses.append(seconds)
        self._moved.at_s += seconds
        return True


class Highest(random.Random):
    """Draws the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0
        return b


class Scripted:
    """Answers as `answer` says; what was sent is kept."""

    def __init__(self, answer: Callable[[list[int]], Outcome]) -> None:
        self._answer, self.posts = answer, list[list[int]]()

    def post(self, values: Sequence[bytes], timeout_s: float) -> Outcome:
        numbers = [json.loads(value)["number"] for value in values]
        self.posts.append(numbers)
        return self._answer(numbers)

    def close(self) -> None: ...


def deliver(answer: Callable[[list[int]], Outcome], events: int) -> tuple[PausedQueue, Scripted]:
    clock = ManualClock()
    queue, transport = PausedQueue(LIMITS, clock), Scripted(answer)
    for number in range(events):
        queue.put(json.dumps({"number": number, "event_type": "menu_ready", "event_id": str(number)}).encode())
    queue.close(1_000_000)
    chosen: Any = transport
    Sender(queue, chosen, LIMITS, clock, Highest(), QuietLog(clock)).run()
    return queue, transport


def after(outcomes: list[Outcome]) -> Callable[[list[int]], Outcome]:
    """These answers in turn, then everything is taken."""
    turn = iter(outcomes)
    return lambda _: next(turn, Taken())


def test_pauses_grow_to_a_limit() -> None:
    """Full jitter: the longest pause doubles from `backoff_s` up to `max_backoff_s`, and begins anew with the next batch."""
    queue, transport = deliver(after([TryAgain("refused")] * 6), 1)
    assert queue.pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert transport.posts == [[0]] * 7
    assert queue.stats().sent == 1


@pytest.mark.parametrize(("asked_s", "waited_s"), [(7.0, 7.5), (0.0, 0.5), (3_600.0, 60.5)])
def test_a_pause_is_never_shorter_than_the_server_asked_for(asked_s: float, waited_s: float) -> None:
    """The jitter is on top, so that not all come at that moment; an hour is not believed."""
    queue, _ = deliver(after([TryAgain("429", 429, asked_s)]), 1)
    assert queue.pauses == [waited_s]


def test_an_event_on_which_the_gateway_fails_does_not_hold_up_the_others_for_ever() -> None:
    """A request that keeps being answered 500 is halved; the good events are taken, the one to blame is dropped and counted."""
    queue, transport = deliver(lambda numbers: TryAgain("500 internal_error", 500) if 5 in numbers else Taken(), 8)
    stats = queue.stats()
    assert (stats.sent, stats.dropped) == (7, {"http_500": 1})
    assert [post for post in transport.posts if 5 not in post] == [[0, 1, 2, 3], [4], [6, 7]]


@pytest.mark.parametrize("status", [0, 500, 502, 503])
def test_a_minute_without_the_gateway_loses_nothing_however_it_is_away(status: int) -> None:
    """Refused connections, 500, 502 and 503 for 60 s: every event is sent afterwards."""
    clock_s = {"away_until": 1_060.0}
    clock = ManualClock()
    queue = PausedQueue(LIMITS, clock)
    transport: Any = Scripted(lambda _: TryAgain("away", status) if clock.at_s < clock_s["away_until"] else Taken())
    for number in range(3):
        queue.put(json.dumps({"number": number}).encode())
    queue.close(1_000_000)
    Sender(queue, transport, LIMITS, clock, Highest(), QuietLog(clock)).run()
    assert (queue.stats().sent, queue.stats().dropped) == (3, {})


def test_a_failure_of_the_sdk_itself_costs_one_batch(caplog: pytest.LogCaptureFixture) -> None:
    """An answer that makes no sense is logged with its stack, counted, and the thread goes on."""

    def answer(numbers: list[int]) -> Outcome:
        if 0 in numbers:
            raise ZeroDivisionError
        return Taken()

    queue, _ = deliver(answer, 501)
    assert (queue.stats().sent, queue.stats().dropped) == (1, {"failed": 500})
    assert "ZeroDivisionError" in caplog.text


def test_a_failure_in_half_of_a_batch_is_counted_once() -> None:
    """What the other half has become stays what it is, and nothing is queued any more, nor less than nothing."""

    def answer(numbers: list[int]) -> Outcome:
        if numbers == [3]:
            raise ZeroDivisionError
        return Taken() if len(numbers) == 1 else Refused(413, "too large")

    queue, _ = deliver(answer, 4)
    stats = queue.stats()
    assert (stats.sent, stats.dropped, stats.queued) == (3, {"failed": 1}, 0)


def test_a_refusal_is_final() -> None:
    """One request, no pause."""
    queue, transport = deliver(after([Refused(401, "401 no")]), 3)
    assert (queue.pauses, transport.posts, queue.stats().dropped) == ([], [[0, 1, 2]], {"http_401": 3})
