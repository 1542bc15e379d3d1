from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError

from pipeline.embedded.ports import free_port
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.topics_admin import ensure_topics
from schemas.topics import EVENTS, TOPICS, Topic


@pytest.fixture
async def admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def topic() -> Topic:
    """Events' settings under a name of the test's own."""
    return replace(EVENTS, name=f"test.{uuid.uuid4()}")


async def settings_of(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    return {row[0]: row[1] for row in response.resources[0][4]}


async def until(ask: Callable[[], Awaitable[Any]], expected: object) -> None:
    """The broker answers from its copy of the metadata, which follows a change within moments."""
    for _ in range(200):
        if (found := await ask()) == expected:
            return
    assert found == expected


async def test_all_topics_are_created_as_the_contract_says(kafka: str, admin: AIOKafkaAdminClient) -> None:
    """The eight topics come up with the partitions of the contract; events are stamped by the broker and kept seven days."""
    await ensure_topics(kafka)
    described = await admin.describe_topics([topic.name for topic in TOPICS])
    assert {topic["topic"].removeprefix("nutricoach.telemetry."): len(topic["partitions"]) for topic in described} == {
        "events.v1": 12,
        "dlq.v1": 1,
        "panes.v1": 1,
        "alerts.v1": 1,
        "escalations.v1": 1,
        "deliveries.v1": 1,
        "decisions.v1": 1,
        "commands.v1": 1,
    }
    settings = await settings_of(admin, "nutricoach.telemetry.events.v1")
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["retention.ms"] == str(7 * 24 * 60 * 60 * 1000)


async def test_second_time_nothing_is_left_to_do(kafka: str, topic: Topic) -> None:
    """The first call says what it created, the second does nothing and says nothing."""
    assert await ensure_topics(kafka, [topic]) == [f"created {topic.name}: 12 partitions"]
    assert await ensure_topics(kafka, [topic]) == []


async def test_drifted_setting_is_corrected_and_others_are_left(kafka: str, admin: AIOKafkaAdminClient, topic: Topic) -> None:
    """A setting that somebody changed goes back to ours; a setting of theirs that we do not name stays."""
    await ensure_topics(kafka, [topic])
    theirs = {**topic.settings(), "retention.ms": "3600000", "segment.ms": "7200000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, theirs)])

    async def both() -> tuple[str, str]:
        settings = await settings_of(admin, topic.name)
        return settings["retention.ms"], settings["segment.ms"]

    await until(both, ("3600000", "7200000"))
    assert await ensure_topics(kafka, [topic]) == [f"corrected {topic.name}: retention.ms was 3600000, is 604800000"]
    await until(both, ("604800000", "7200000"))


async def test_other_number_of_partitions_is_refused_before_anything_is_done(kafka: str, admin: AIOKafkaAdminClient, topic: Topic) -> None:
    """A topic with another number of partitions stops the call, which then has not created the missing ones either."""
    await admin.create_topics([NewTopic(topic.name, 3, 1)])
    absent = replace(topic, name=f"test.{uuid.uuid4()}")
    with pytest.raises(Stop, match="has 3 partitions and needs 12"):
        await ensure_topics(kafka, [absent, topic])
    assert absent.name not in await admin.list_topics()


async def test_no_broker_is_one_line_that_names_the_setting() -> None:
    """Where no broker answers the error says which setting names the address."""
    with pytest.raises(RetryAfter, match="TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"):
        await ensure_topics(f"127.0.0.1:{free_port()}")


async def test_a_broker_that_knows_of_no_broker_yet_is_asked_again(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has just started: the topics are looked at a moment later."""
    list_topics, answers = AIOKafkaAdminClient.list_topics, iter([NodeNotReadyError(), NodeNotReadyError()])

    async def not_ready_yet(client: AIOKafkaAdminClient) -> list[str]:
        for error in answers:
            raise error
        return list(await list_topics(client))

    monkeypatch.setattr(AIOKafkaAdminClient, "list_topics", not_ready_yet)
    await ensure_topics(kafka)
    assert next(answers, None) is None
