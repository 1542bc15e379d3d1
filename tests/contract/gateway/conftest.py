from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipeline.runtime.topics_admin import ensure_topics
from tests.contract.gateway.gateways import Client, gateway_on
from tests.contract.gateway.topic import Topic, events_topic


@pytest.fixture
async def topic(kafka: str) -> AsyncIterator[Topic]:
    """What is added to events.v1 during the test."""
    await ensure_topics(kafka)
    async with events_topic(kafka) as topic:
        yield topic


@pytest.fixture
async def gateway(kafka: str, topic: Topic) -> AsyncIterator[Client]:
    """A gateway on the real broker, ready, without keys."""
    async with gateway_on(kafka) as client:
        await client.ready()
        yield client
