from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregation.owners import partitions_of
from schemas.partitioning import TEST_VECTORS, partition_of


def test_kafkas_own_partitions() -> None:
    """Keys of all lengths beside each other go where Kafka's Java client puts them."""
    assert partitions_of(list(TEST_VECTORS)) == [partition for _, partition in TEST_VECTORS.values()]


def test_no_keys() -> None:
    """Nothing belongs nowhere."""
    assert partitions_of([]) == []


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20))
def test_together_as_one_by_one(keys: list[str]) -> None:
    """Whoever stands beside a key, its partition is its own."""
    assert partitions_of(keys) == [partition_of(key) for key in keys]
