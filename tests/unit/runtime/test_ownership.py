from __future__ import annotations

import pytest

from pipeline.runtime.errors import Stop
from pipeline.runtime.ledger import Ledger
from pipeline.runtime.ownership import Ownership, Ownerships, Watchdog
from tests.unit.runtime.records import TP, record


def reading(resume_at: int, *, began_at: float = 0.0, head_since: float | None = None) -> Ownership:
    return Ownership(TP, began_at, ledger=Ledger(TP, resume_at, head_since=head_since), head_since=head_since)


def owned(ownership: Ownership) -> Ownerships:
    return Ownerships({TP: ownership})


def test_the_watchdog_raises_for_a_chunk_that_is_not_done() -> None:
    """The line names the partition, the offset and the time."""
    ownership = reading(40)
    assert ownership.ledger is not None
    ownership.ledger.deliver([record(40)], 1, now=10.0)
    watchdog = Watchdog(60.0, now=0.0)
    watchdog.check(owned(ownership), None, now=70.0)
    with pytest.raises(Stop, match=r"events\.v1-3 is stuck: the records from offset 40 on are not done after 61 s"):
        watchdog.check(owned(ownership), None, now=71.0)


def test_waiting_for_something_named_excuses_and_gives_time_afterwards() -> None:
    """When ClickHouse is back after an hour, the chunks that waited for it get their time before they count as stuck."""
    ownership = reading(40)
    assert ownership.ledger is not None
    ownership.ledger.deliver([record(40)], 1, now=10.0)
    watchdog = Watchdog(60.0, now=0.0)
    watchdog.check(owned(ownership), "ClickHouse", now=3_600.0)
    watchdog.check(owned(ownership), None, now=3_660.0)
    with pytest.raises(Stop, match="stuck"):
        watchdog.check(owned(ownership), None, now=3_661.0)


def test_the_watchdog_raises_for_a_state_that_does_not_finish_loading() -> None:
    """A resume callback that hangs without naming why holds its partition for ever."""
    watchdog = Watchdog(60.0, now=0.0)
    with pytest.raises(Stop, match="its state is still loading after 61 s"):
        watchdog.check(owned(Ownership(TP, began_at=5.0)), None, now=66.0)


def test_an_idle_partition_is_never_stuck() -> None:
    """Nothing open and everything loaded: a quiet night must not restart workers."""
    Watchdog(60.0, now=0.0).check(owned(reading(40)), None, now=100_000.0)


def test_a_chunk_that_fails_for_ever_is_stuck_although_it_is_read_again_each_time() -> None:
    """Each failure begins a new ownership; the time without progress is handed on."""
    ownership = reading(40)
    for attempt in range(8):
        assert ownership.ledger is not None
        ownership.ledger.deliver([record(40), record(41)], 2, now=10.0 * attempt)
        after = ownership.successor(10.0 * attempt + 1)
        assert (after.failures, after.head_since) == (attempt + 1, 0.0)
        after.ledger = Ledger(TP, 40, head_since=after.head_since)
        ownership = after
    assert ownership.ledger is not None
    ownership.ledger.deliver([record(40)], 1, now=75.0)
    with pytest.raises(Stop, match="offset 40 on are not done after 75 s"):
        Watchdog(60.0, now=0.0).check(owned(ownership), None, now=75.0)


def test_progress_ends_the_count_of_failures() -> None:
    """A chunk that fails after others became durable is a first failure, and its own age counts."""
    ownership = Ownership(TP, 0.0, failures=5, head_since=1.0, ledger=Ledger(TP, 40, head_since=1.0))
    assert ownership.ledger is not None
    ownership.ledger.deliver([record(40)], 1, now=30.0).done()
    ownership.ledger.deliver([record(41)], 1, now=35.0)
    after = ownership.successor(40.0)
    assert (after.failures, after.head_since) == (1, 35.0)


def test_what_is_open_is_the_sum_over_partitions_that_are_read() -> None:
    """A partition whose state is loading has nothing open."""
    ownership = reading(0)
    assert ownership.ledger is not None
    ownership.ledger.deliver([record(0), record(1)], 17, now=0.0)
    both = Ownerships({TP: ownership, TP._replace(partition=4): Ownership(TP._replace(partition=4), 0.0)})
    assert (both.records_open(), both.bytes_open(), len(list(both.ledgers()))) == (2, 17, 1)
    both.end_all()
    assert (both.records_open(), ownership.ledger.abandoned) == (0, True)
