"""The key rule: which partition of `events.v1` an event belongs to, for every producer in any language.

The key is `user_id`, else `session_id`, else `event_id` in its canonical lower-case form; the partition is Kafka's own default,
(murmur2(key) & 0x7fffffff) % 12, over the UTF-8 bytes of the key.
Apache Kafka's clients (Java), aiokafka, and librdkafka with `partitioner=murmur2_random` do this by themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

EVENT_PARTITIONS: Final = 12

#: Key → (murmur2 as Java's signed 32-bit integer, partition of 12), computed by org.apache.kafka.common.utils.Utils of kafka-clients 4.3.1.
TEST_VECTORS: Final[dict[str, tuple[int, int]]] = {
    "": (275646681, 9),
    "0": (971027396, 8),
    "21": (-973932308, 0),
    "s-7": (46601757, 9),
    "u-42": (-1954991815, 1),
    "u-42x": (-1833843897, 11),
    "foobar": (-790332482, 6),
    "u-00042": (1346160303, 3),
    "12345678": (338742798, 6),
    "session-9": (-1117894392, 8),
    "a-little-bit-long-string": (-985981536, 8),
    "0198c0de-7a1b-7c3d-8e4f-00112233aabb": (1125213259, 7),
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": (-58897971, 5),
    "Zoë": (-1306457314, 10),
    "用户-7": (-255974619, 5),
    "пользователь": (1707906164, 8),
    "🥑": (828228750, 6),
}

MURMUR2_MULTIPLIER: Final = 0x5BD1E995
#: The seed of Apache Kafka.
MURMUR2_SEED: Final = 0x9747B28C
_M: Final = MURMUR2_MULTIPLIER
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Austin Appleby's MurmurHash2 with the seed that Apache Kafka uses, as an unsigned 32-bit integer."""
    length = len(data)
    h = MURMUR2_SEED ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def event_key(user_id: str | None, session_id: str | None, event_id: str) -> str:
    """The text an event is keyed by; an empty id counts as absent."""
    return user_id or session_id or event_id


@lru_cache(maxsize=100_000)
def partition_of(key: str) -> int:
    """The partition of `events.v1` that owns `key`."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % EVENT_PARTITIONS
