"""Kafka records as a consumer gives them, for tests without a broker."""

from __future__ import annotations

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

TP = TopicPartition("events.v1", 3)


def record(offset: int, value: bytes | None = b"value", key: bytes | None = None) -> ConsumerRecord:
    key_bytes = -1 if key is None else len(key)
    return ConsumerRecord(TP.topic, TP.partition, offset, 0, 0, key, value, None, key_bytes, -1 if value is None else len(value), ())
