from __future__ import annotations

import threading
import time

import pytest

from pipeline.runtime.clock import SystemClock
from pipeline.sdk.event_queue import EventQueue
from pipeline.sdk.limits import Limits
from tests.waiting import wait_until

QUICK = Limits(queue_events=5, queue_bytes=1_000, batch_events=3, batch_bytes=100, linger_s=0.0)


def queue(limits: Limits = QUICK) -> EventQueue:
    return EventQueue(limits, SystemClock())


def test_it_gives_batches_in_order() -> None:
    """Events come out as they went in, at most `batch_events` at once."""
    events = queue()
    for value in (b"1", b"2", b"3", b"4"):
        events.put(value)
    assert events.take() == [b"1", b"2", b"3"]
    assert events.take() == [b"4"]


def test_a_batch_has_at_most_so_many_bytes() -> None:
    """Values that would make a request too large wait for the next one; one that is larger by itself goes alone."""
    events = queue()
    for value in (b"a" * 60, b"b" * 60, b"c" * 300):
        events.put(value)
    assert [len(events.take()) for _ in range(3)] == [1, 1, 1]


def test_what_came_first_is_kept_when_it_is_full() -> None:
    """Waiting and travelling events count against the bound; one more is dropped, and there is room again once some are settled."""
    events = queue()
    for number in range(7):
        events.put(b"%d" % number)
    assert (events.stats().queued, events.stats().dropped) == (5, {"queue_full": 2})
    batch = events.take()
    events.put(b"still no room")
    events.settle(batch)
    events.put(b"x")
    assert events.take() == [b"3", b"4", b"x"]
    assert events.stats().dropped == {"queue_full": 3}


def test_bytes_are_bounded_too() -> None:
    """A few events that are large fill the queue."""
    events = queue()
    for _ in range(3):
        events.put(b"x" * 400)
    assert (events.stats().queued, events.stats().dropped) == (2, {"queue_full": 1})


def test_every_event_is_in_one_number() -> None:
    """Sent, rejected, dropped and queued add up to what was put."""
    events = queue()
    for number in range(5):
        events.put(b"%d" % number)
    events.settle(events.take(), rejected=1, warned=2)
    events.settle(events.take()[:1], dropped="http_401")
    stats = events.stats()
    assert (stats.queued, stats.sent, stats.rejected, stats.warned, stats.dropped) == (1, 2, 1, 2, {"http_401": 1})


def test_an_event_waits_for_others_to_join_it() -> None:
    """With a lingering time a second event shares the first one's request, and a full batch does not wait."""
    events = queue(Limits(batch_events=3, linger_s=60.0))
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(events.take()))
    thread.start()
    for value in (b"1", b"2", b"3"):
        assert taken == []
        events.put(value)
    thread.join(10)
    assert taken == [[b"1", b"2", b"3"]]


def test_flush_ends_the_lingering_and_waits_for_the_end() -> None:
    """A flush has what is queued taken at once, and returns when it is settled; False when that does not happen."""
    events = queue(Limits(linger_s=60.0))
    events.put(b"1")
    thread = threading.Thread(target=lambda: events.settle(events.take()))
    thread.start()
    assert events.flush(10)
    thread.join(10)
    events.put(b"2")
    assert not events.flush(0.01)


def test_nothing_is_put_after_close() -> None:
    """Closed, it gives what it has, then nothing, and counts what still comes."""
    events = queue()
    events.put(b"1")
    events.close(10)
    events.put(b"2")
    assert events.take() == [b"1"]
    events.settle([b"1"])
    assert events.take() == []
    assert (events.stats().sent, events.stats().dropped) == (1, {"closed": 1})


def test_what_is_left_at_the_end_is_counted() -> None:
    """Abandoned events are `unsent`, those on their way too, and an answer that comes later changes nothing."""
    events = queue()
    for number in range(4):
        events.put(b"%d" % number)
    batch = events.take()
    events.close(0)
    assert events.abandon() == 4
    events.settle(batch)
    assert (events.stats().queued, events.stats().sent, events.stats().dropped) == (0, 0, {"unsent": 4})


def test_a_pause_longer_than_the_time_left_is_not_begun() -> None:
    """Whoever closes does not wait for an attempt that comes too late: the pause says so at once, and a flush ends."""
    events = queue()
    events.put(b"1")
    events.take()
    events.close(5)
    began_s = time.monotonic()
    assert not events.pause(30, may_be_cut_short=False)
    assert not events.flush(5)
    assert time.monotonic() - began_s < 4
    assert events.take() == []


@pytest.mark.parametrize(("may_be_cut_short", "at_least_s", "less_than_s"), [(True, 0.0, 30.0), (False, 0.5, 30.0)])
def test_a_flush_cuts_a_pause_short_but_not_one_the_server_asked_for(may_be_cut_short: bool, at_least_s: float, less_than_s: float) -> None:
    """Somebody who waits gets an attempt now, unless the server does not want one."""
    events = queue()
    events.put(b"1")
    batch = events.take()
    paused: list[float] = []

    def pause() -> None:
        began_s = time.monotonic()
        assert events.pause(60.0 if may_be_cut_short else 0.5, may_be_cut_short=may_be_cut_short)
        paused.append(time.monotonic() - began_s)
        events.settle(batch)

    thread = threading.Thread(target=pause)
    thread.start()
    wait_until(lambda: events._changed._waiters, 10, "the pause has begun", every_s=0.001)  # type: ignore[attr-defined]
    assert events.flush(40)
    thread.join(10)
    assert at_least_s <= paused[0] < less_than_s


def test_who_closes_during_an_attempt_gets_another_one() -> None:
    """The answer may say no while somebody closes: the gateway is asked once more at once, and given up when that fails, too."""
    events = queue()
    events.put(b"1")
    events.take()
    events.close(5)
    assert events.pause(30, may_be_cut_short=True)
    assert not events.pause(30, may_be_cut_short=True)


def test_the_thread_that_holds_the_lock_may_call_again() -> None:
    """A signal handler that publishes in the middle of a call does not wait for itself for ever."""
    events = queue()
    with events._changed:
        events.put(b"1")
        events.drop("invalid")
    assert events.stats().queued == 1
