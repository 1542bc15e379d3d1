"""Brings the broker's topics to what `schemas/topics.py` says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from pipeline.runtime.errors import RetryAfter, Stop
from schemas.topics import TOPICS, Topic

_SET_ON_THE_TOPIC = 1  # `config_source` of a setting that is the topic's own, not the broker's (KIP-226)
_VISIBLE_WITHIN_S = 10.0
_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic as it is: `effective` are all settings in force, `own` those that were set on the topic."""

    partitions: int
    effective: dict[str, str]
    own: dict[str, str]

    def wrong(self, topic: Topic) -> dict[str, str]:
        return {name: value for name, value in topic.settings().items() if self.effective.get(name) != value}


async def ensure_topics(bootstrap_servers: str, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create what is missing and correct settings that differ; topic settings nothing here names are left as they are.

    Returns one line for each thing done, none when all was right already; what was done can be used and seen by then.
    Raises Stop, before anything is changed, when a topic has another number of partitions (a change would move keys),
    and when the broker refuses a change; RetryAfter when no broker answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, client_id="telemetry-topics")
    try:
        await admin.start()
    except KafkaConnectionError:
        await admin.close()
        raise RetryAfter(f"no Kafka broker answers at {bootstrap_servers}; start one, or set TELEMETRY_KAFKA__BOOTSTRAP_SERVERS") from None
    try:
        found = await _first_look(admin, topics)
        _refuse_other_partitions(topics, found)
        done = await _create(admin, [topic for topic in topics if topic.name not in found])
        for topic in topics:
            if topic.name in found:
                done += await _correct(admin, topic, found[topic.name])
        if done:
            await _until_visible(admin, topics)
        return done
    except KafkaError as error:
        raise Stop(f"Kafka at {bootstrap_servers} refused: {error}") from error
    finally:
        await admin.close()


async def _first_look(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, _Found]:
    """A broker that has just started takes connections a moment before it has metadata of itself."""
    patience_ends = asyncio.get_running_loop().time() + _VISIBLE_WITHIN_S
    while True:
        try:
            return await _look(admin, topics)
        except KafkaError as error:
            if not error.retriable or asyncio.get_running_loop().time() > patience_ends:
                raise
        await asyncio.sleep(_AGAIN_S)


async def _look(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, _Found]:
    """Those of `topics` that there are."""
    there = set(await admin.list_topics())
    names = [topic.name for topic in topics if topic.name in there]
    if not names:
        return {}
    described = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    found: dict[str, _Found] = {}
    for code, message, _, name, entries in (resource for response in responses for resource in response.resources):
        if code:
            raise for_code(code)(message)
        rows: list[tuple[Any, ...]] = entries  # (name, value, read only, source, …)
        own = {row[0]: row[1] for row in rows if row[3] == _SET_ON_THE_TOPIC}
        found[name] = _Found(described[name], {row[0]: row[1] for row in rows}, own)
    return found


def _refuse_other_partitions(topics: Sequence[Topic], found: dict[str, _Found]) -> None:
    for topic in topics:
        if topic.name in found and found[topic.name].partitions != topic.partitions:
            raise Stop(
                f"{topic.name} has {found[topic.name].partitions} partitions and needs {topic.partitions}: another number would move keys; "
                "delete the topic if its records may go, or use another Kafka"
            )


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    # Replication as the broker's default says: 1 on the embedded one, the operators' choice on a cluster.
    new = [NewTopic(topic.name, topic.partitions, -1, replica_assignments={}, topic_configs=topic.settings()) for topic in topics]
    response = await admin.create_topics(new)
    codes = {name: (code, *message) for name, code, *message in response.topic_errors}
    for name, (code, *message) in codes.items():
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)(f"{name}: {message[0] if message else ''}")
    # One that exists by now was made by another process, from the same list.
    return [
        f"created {topic.name}: {topic.partitions} partition{'s' * (topic.partitions > 1)}" for topic in topics if not codes[topic.name][0]
    ]


async def _correct(admin: AIOKafkaAdminClient, topic: Topic, found: _Found) -> list[str]:
    wrong = found.wrong(topic)
    if not wrong:
        return []
    # The request replaces all settings of the topic, so those set by others are sent along.
    (response,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, {**found.own, **topic.settings()})])
    for code, message, *_ in response.resources:
        if code:
            raise for_code(code)(message)
    return [f"corrected {topic.name}: {name} was {found.effective.get(name)}, is {value}" for name, value in wrong.items()]


async def _until_visible(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """A broker answers from its copy of the metadata, which follows the controller's a moment later."""
    try:
        async with asyncio.timeout(_VISIBLE_WITHIN_S):
            while True:
                found = await _look(admin, topics)
                if all(topic.name in found and not found[topic.name].wrong(topic) for topic in topics):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Stop("Kafka took the topics, but its broker does not show them; look at the broker's log") from None
