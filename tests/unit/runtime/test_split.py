from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.chunk_source import split
from tests.unit.runtime.records import record


@given(sizes=st.lists(st.integers(0, 40), max_size=30), limit=st.integers(1, 60))
def test_parts_hold_every_record_in_order_and_only_a_lone_record_exceeds_the_bytes(sizes: list[int], limit: int) -> None:
    """Nothing is lost or reordered by cutting, and a part is never larger than it must be."""
    records = [record(offset, b"v" * size, b"k") for offset, size in enumerate(sizes)]
    parts = list(split(records, limit))
    assert [one.offset for part, _ in parts for one in part] == list(range(len(sizes)))
    for part, size_bytes in parts:
        assert size_bytes == sum(len(one.value) + 1 for one in part)
        assert size_bytes <= limit or len(part) == 1


def test_parts_are_as_long_as_the_limit_allows() -> None:
    """Three records of 4 bytes under 8: two and one."""
    assert [len(part) for part, _ in split([record(offset, b"1234") for offset in range(3)], 8)] == [2, 1]


def test_a_record_without_key_and_value_counts_nothing() -> None:
    """A tombstone is a record."""
    assert list(split([record(0, None)], 1)) == [([record(0, None)], 0)]
