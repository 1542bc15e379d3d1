from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner

from schemas.partitioning import EVENT_PARTITIONS, TEST_VECTORS, event_key, murmur2, partition_of

# Apache Kafka's own test of the function: clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2.
_FROM_KAFKAS_TESTS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def _signed(unsigned: int) -> int:
    return unsigned - (1 << 32) if unsigned >> 31 else unsigned


@pytest.mark.parametrize(("key", "expected"), _FROM_KAFKAS_TESTS.items())
def test_murmur2_agrees_with_the_vectors_of_apache_kafka(key: str, expected: int) -> None:
    """The hash is Apache Kafka's, by its own published vectors."""
    assert _signed(murmur2(key.encode())) == expected


@pytest.mark.parametrize(("key", "vector"), TEST_VECTORS.items())
def test_published_vectors_hold(key: str, vector: tuple[int, int]) -> None:
    """Each vector that other languages are checked with is what we do."""
    assert (_signed(murmur2(key.encode())), partition_of(key)) == vector


def test_vectors_cover_every_tail_length_and_more_than_ascii() -> None:
    """A producer in another language meets each branch of the hash, and UTF-8."""
    lengths = {len(key.encode()) for key in TEST_VECTORS}
    assert lengths >= set(range(10))
    assert any(len(key.encode()) != len(key) for key in TEST_VECTORS)


@pytest.mark.parametrize(("key", "vector"), TEST_VECTORS.items())
def test_a_plain_aiokafka_producer_chooses_the_same_partition(key: str, vector: tuple[int, int]) -> None:
    """Who sends with aiokafka and the key alone follows the rule."""
    partitions = list(range(EVENT_PARTITIONS))
    assert DefaultPartitioner()(key.encode(), partitions, partitions) == vector[1]


@pytest.mark.parametrize(
    ("user_id", "session_id", "expected"),
    [("u", "s", "u"), (None, "s", "s"), ("", "s", "s"), (None, None, "e"), ("", "", "e")],
)
def test_an_event_is_keyed_by_user_then_session_then_itself(user_id: str | None, session_id: str | None, expected: str) -> None:
    """The first id that is there is the key."""
    assert event_key(user_id, session_id, "e") == expected
