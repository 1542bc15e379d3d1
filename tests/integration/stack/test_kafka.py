from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from pipeline.embedded.java import find_java
from pipeline.embedded.kafka import prepare
from pipeline.embedded.kafka_jars import class_path
from pipeline.embedded.ports import free_port
from tests.stack_fixtures import embedded_broker

TOPIC = "kept"


async def test_topics_records_and_commits_survive_a_restart(tmp_path: Path) -> None:
    """What was written, and how far a group had read, is there after the broker was stopped and started again."""
    port, partition = free_port(), TopicPartition(TOPIC, 0)
    with embedded_broker(tmp_path, port) as address:
        await create_topic(address)
        async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
            sent = [await producer.send_and_wait(TOPIC, str(number).encode()) for number in range(3)]
        async with AIOKafkaConsumer(TOPIC, bootstrap_servers=address, group_id="readers", enable_auto_commit=False) as consumer:
            await consumer.commit({partition: sent[1].offset})
    with embedded_broker(tmp_path, port) as address:
        async with AIOKafkaConsumer(TOPIC, bootstrap_servers=address, group_id="readers", auto_offset_reset="earliest") as consumer:
            record = await consumer.getone()
    assert (record.offset, record.value) == (1, b"1")


async def test_topics_are_not_created_by_use(kafka: str) -> None:
    """A record for a misspelt topic is refused: the broker does not make topics of its own accord."""
    async with AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=2000) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait("misspelt", b"1")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        assert "misspelt" not in await admin.list_topics()
    finally:
        await admin.close()


async def create_topic(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
    finally:
        await admin.close()


def test_a_cluster_id_that_begins_with_a_dash_is_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One random id in 64 looks like an option to Kafka's storage tool; it is formatted with it all the same."""
    monkeypatch.setattr("pipeline.embedded.kafka.uuid.uuid4", lambda: uuid.UUID(bytes=b"\xf8" * 16))
    prepare(tmp_path, free_port(), find_java(), class_path())
    assert "cluster.id=-" in (tmp_path / "log" / "meta.properties").read_text()
