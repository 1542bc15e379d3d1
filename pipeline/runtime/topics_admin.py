"""Brings the broker's topics to what `schemas/topics.py` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from pipeline.runtime.errors import RetryAfter, Stop
from schemas.topics import TOPICS, Topic

_SET_ON_THE_TOPIC = 1  # `config_source` of a setting that is the topic's own, not the broker's (KIP-226)


async def ensure_topics(bootstrap_servers: str, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create what is missing and correct settings that differ; topic settings nothing here names are left as they are.

    Returns one line for each thing done, none when all was right already. Raises Stop, before anything is
    changed, when a topic has another number of partitions (a change would move keys), and when the broker refuses a change;
    RetryAfter when no broker answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, client_id="telemetry-topics")
    try:
        await admin.start()
    except KafkaConnectionError:
        await admin.close()
        raise RetryAfter(f"no Kafka broker answers at {bootstrap_servers}; start one, or set TELEMETRY_KAFKA__BOOTSTRAP_SERVERS") from None
    try:
        partitions = await _partitions(admin, topics)
        _refuse_other_partitions(topics, partitions)
        absent = [topic for topic in topics if topic.name not in partitions]
        present = [topic for topic in topics if topic.name in partitions]
        return [*await _create(admin, absent), *await _correct(admin, present)]
    except KafkaError as error:
        raise Stop(f"Kafka at {bootstrap_servers} refused: {error}") from error
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, int]:
    """Number of partitions of each topic there is."""
    there = set(await admin.list_topics())
    asked = [topic.name for topic in topics if topic.name in there]
    described = await admin.describe_topics(asked) if asked else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


def _refuse_other_partitions(topics: Sequence[Topic], partitions: Mapping[str, int]) -> None:
    for topic in topics:
        found = partitions.get(topic.name, topic.partitions)
        if found != topic.partitions:
            raise Stop(
                f"{topic.name} has {found} partitions and needs {topic.partitions}: another number would move keys; "
                "delete the topic if its records may go, or use another Kafka"
            )


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    # Replication as the broker's default says: 1 on the embedded one, the operators' choice on a cluster.
    new = [NewTopic(topic.name, topic.partitions, -1, replica_assignments={}, topic_configs=topic.settings()) for topic in topics]
    response = await admin.create_topics(new)
    for name, code, *message in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):  # another process was quicker, from the same list
            raise for_code(code)(f"{name}: {message[0] if message else ''}")
    return [f"created {topic.name}: {topic.partitions} partition{'s' if topic.partitions > 1 else ''}" for topic in topics]


async def _correct(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[str]:
    lines: list[str] = []
    for topic in topics:
        effective, own = await _settings(admin, topic.name)
        wrong = {name: value for name, value in topic.settings().items() if effective.get(name) != value}
        if not wrong:
            continue
        # This request replaces all settings of the topic, so those set by others are sent along.
        await _alter(admin, topic.name, {**own, **topic.settings()})
        lines += [f"corrected {topic.name}: {name} was {effective.get(name)}, is {value}" for name, value in wrong.items()]
    return lines


async def _settings(admin: AIOKafkaAdminClient, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """All settings in force for a topic, and those of them that are the topic's own."""
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    ((code, message, _, _, entries),) = response.resources
    if code:
        raise for_code(code)(message)
    rows: list[tuple[Any, ...]] = entries
    return {row[0]: row[1] for row in rows}, {row[0]: row[1] for row in rows if row[3] == _SET_ON_THE_TOPIC}


async def _alter(admin: AIOKafkaAdminClient, name: str, settings: dict[str, str]) -> None:
    (response,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)])
    for code, message, *_ in response.resources:
        if code:
            raise for_code(code)(message)
