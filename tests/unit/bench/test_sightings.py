from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.sightings import Published, Sightings, quantile_ms


def test_a_batch_waits_until_its_last_record_is_first_seen() -> None:
    """Neither an earlier sighting that falls short nor a later one that repeats it decides."""
    sightings = Sightings()
    for offset, at_s in ((8, 10.0), (9, 10.25), (9, 10.5)):
        sightings.add(3, offset, at_s)
    assert sightings.waits_ms([Published(3, 9, 4, 10.0), Published(3, 8, 2, 9.5)]) == [(250.0, 4), (500.0, 2)]


def test_an_older_sighting_that_comes_later_changes_nothing() -> None:
    """A worker that says again where it stood must not make a record look unseen."""
    sightings = Sightings()
    for offset, at_s in ((20, 1.0), (10, 2.0), (30, 3.0)):
        sightings.add(0, offset, at_s)
    assert sightings.waits_ms([Published(0, 15, 1, 0.0)]) == [(1000.0, 1)]


def test_partitions_are_apart() -> None:
    """What is seen of one partition says nothing of another."""
    sightings = Sightings()
    sightings.add(1, 100, 1.0)
    with pytest.raises(LookupError, match="offset 5 of partition 2"):
        sightings.waits_ms([Published(2, 5, 1, 0.0)])


def test_everything_is_seen_only_when_the_last_batch_is() -> None:
    """One record beyond what was seen is enough to go on waiting."""
    sightings = Sightings()
    sightings.add(0, 5, 1.0)
    assert sightings.has_seen([Published(0, 5, 6, 0.0)])
    assert not sightings.has_seen([Published(0, 5, 6, 0.0), Published(0, 6, 1, 0.0)])
    assert not sightings.has_seen([Published(1, 0, 1, 0.0)])


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 20)), min_size=1, max_size=30),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_a_quantile_is_the_value_of_its_rank_over_all_events(waits: list[tuple[int, int]], rank: float) -> None:
    """Every event of a batch counts, and the value is one that occurred."""
    events = sorted(value for value, count in waits for _ in range(count))
    assert quantile_ms([(float(value), count) for value, count in waits], rank) == events[math.ceil(rank * len(events)) - 1]
