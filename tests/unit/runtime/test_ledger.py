from __future__ import annotations

import pytest

from pipeline.runtime.ledger import Ledger
from tests.unit.runtime.records import TP, record


def test_an_offset_that_comes_again_is_refused() -> None:
    """The reader that delivers a record twice in one ownership has a bug, and the ledger says which offset."""
    ledger = Ledger(TP, 10)
    ledger.deliver([record(10), record(11)], 2, now=0.0)
    with pytest.raises(ValueError, match=r"events\.v1-3: offset 11 came again, 12 or later"):
        ledger.deliver([record(11)], 1, now=0.0)


def test_nothing_is_delivered_to_an_ownership_that_has_ended() -> None:
    """A chunk of an abandoned ledger would be folded and never committed."""
    ledger = Ledger(TP, 10)
    ledger.abandon()
    with pytest.raises(ValueError, match="ended"):
        ledger.deliver([record(10)], 1, now=0.0)


def test_a_released_chunk_holds_no_memory_and_holds_back_the_commit_for_good() -> None:
    """`release()` gives the records back, and nothing from them on may be committed, whatever is said of them later."""
    ledger = Ledger(TP, 0)
    first, second, third = (ledger.deliver([record(offset)], 10, now=0.0) for offset in range(3))
    second.release()
    assert (list(second.records), ledger.records_open, ledger.bytes_open, ledger.committable) == ([], 2, 20, 0)
    for chunk in (third, second, first):
        chunk.done()
    assert (ledger.records_open, ledger.committable, ledger.chunks_open) == (0, 1, 1)


def test_forgotten_records_are_open_until_the_chunk_is_done() -> None:
    """Their effects are still held somewhere: what bounds memory goes on counting them, exactly once."""
    ledger = Ledger(TP, 0)
    chunk = ledger.deliver([record(0), record(1)], 20, 0.0)
    chunk.forget_records()
    assert (list(chunk.records), ledger.records_open, ledger.bytes_open) == ([], 2, 20)
    chunk.done()
    chunk.done()
    assert (ledger.records_open, ledger.bytes_open, ledger.committable) == (0, 0, 2)


def test_what_follows_a_released_chunk_is_not_kept() -> None:
    """A warehouse may be away for days: chunks that nobody will commit are not collected meanwhile."""
    ledger = Ledger(TP, 0)
    for offset in range(10_000):
        ledger.deliver([record(offset)], 10, now=float(offset)).release()
    assert (ledger.chunks_open, ledger.records_open, ledger.committable, ledger.expected) == (1, 0, 0, 10_000)
    assert ledger.head_since() == 0.0


def test_the_age_of_a_chunk_that_failed_before_goes_on() -> None:
    """Reading a poison chunk again does not make it young, or the watchdog would never see it."""
    ledger = Ledger(TP, 7, head_since=100.0)
    chunk = ledger.deliver([record(7)], 1, now=160.0)
    ledger.deliver([record(8)], 1, now=165.0)
    assert ledger.head_age_s(170.0) == 70.0
    chunk.done()
    assert ledger.head_age_s(170.0) == 5.0


def test_nothing_open_has_no_age() -> None:
    """An idle partition is not stuck, whatever came before."""
    assert Ledger(TP, 7, head_since=1.0).head_age_s(1000.0) == 0.0
