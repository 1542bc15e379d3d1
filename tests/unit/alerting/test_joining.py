from __future__ import annotations

import pytest

from alerting.gathering import Reach
from alerting.joining import Join

STORED = {0: 101, 1: 201}


def joined(*reaches: Reach) -> Join:
    join = Join(partitions=2)
    for reach in reaches:
        join.note(reach)
    return join


def test_clickhouse_stands_for_what_it_has_stored() -> None:
    """Progress beyond the last event of every partition's flushes, of which one at least had caught up."""
    assert joined(Reach(0, 90, False), Reach(0, 100, True), Reach(1, 200, True)).why_not(STORED) is None


@pytest.mark.parametrize(
    ("reaches", "why"),
    [
        ([Reach(0, 100, True)], "partitions [1] did not flush"),
        ([Reach(0, 100, True), Reach(1, 150, False), Reach(1, 160, False)], "partitions [1] had not caught up"),
        ([Reach(0, 101, True), Reach(1, 200, True)], "rows of partitions [0] are not all stored"),
        ([Reach(0, 101, True), Reach(0, 90, True), Reach(1, 200, True)], "rows of partitions [0] are not all stored"),
    ],
)
def test_clickhouse_stands_for_nothing_when_rows_may_be_missing(reaches: list[Reach], why: str) -> None:
    """A partition that is silent, one that reads again what another worker has read, one whose rows are still to be written."""
    assert joined(*reaches).why_not(STORED) == why


def test_a_partition_that_never_had_an_event_has_no_progress_and_lacks_nothing() -> None:
    """Its flushes say offset -1, and `partition_progress` has no row of it."""
    assert joined(Reach(0, 100, True), Reach(1, -1, True)).why_not({0: 101}) is None


def test_a_snapshot_is_too_new_from_the_version_of_the_next_event_on() -> None:
    """2 * offset of the fold and one more of a repair, by partition."""
    assert joined(Reach(0, 100, True), Reach(0, 90, False), Reach(1, -1, True)).newest_versions == [201, -1]
