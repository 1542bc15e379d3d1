from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipeline.runtime.topics_admin import ensure_topics
from pipeline.sdk import TelemetryMiddleware
from tests.contract.gateway.gateways import Client, gateway_on
from tests.contract.gateway.topic import Topic, events_topic
from tests.integration.sdk.publishing import publishing_to

KEY = "key-of-the-menu-api"


@pytest.fixture
async def topic(kafka: str) -> AsyncIterator[Topic]:
    """What is added to events.v1 during the test."""
    await ensure_topics(kafka)
    async with events_topic(kafka) as topic:
        yield topic


@pytest.fixture
async def gateway(kafka: str, topic: Topic) -> AsyncIterator[Client]:
    """A real gateway on the real broker, which asks for a key."""
    async with gateway_on(kafka, write_keys=[KEY]) as client:
        await client.ready()
        yield client


async def ours(topic: Topic, user: str) -> list[dict[str, Any]]:
    """The events of one user that have been added, in order."""
    events = [json.loads(record.value) for record in await topic.read()]
    return [event for event in events if event.get("user_id") == user]


async def test_what_a_service_publishes_is_on_kafka(gateway: Client, topic: Topic) -> None:
    """Every kind of call arrives as the contract has it: an event, an attempt that failed, a request that was answered."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        assert message

    async with publishing_to(gateway.url, KEY) as telemetry:
        menu = {"recipe_count": 5, "restrictions": ["vegan"], "generation_time_ms": 1240.5, "outcome": "full", "provider": "ollama"}
        telemetry.menu_generated(**menu, user_id="sdk-u-1", flags={"new-planner": "B"})  # type: ignore[arg-type]
        with pytest.raises(ConnectionRefusedError), telemetry.attempt("ollama", position=0, user_id="sdk-u-1"):
            raise ConnectionRefusedError("nothing listens")
        asked = TelemetryMiddleware(app, telemetry=telemetry, user_id=lambda _: "sdk-u-1")
        await asked({"type": "http", "method": "GET", "path": "/menus/123456"}, None, send)  # type: ignore[arg-type]
    assert telemetry.stats().sent == 3

    menus, attempt, request = await ours(topic, "sdk-u-1")
    assert (menus["event_type"], menus["properties"], menus["flags"]) == ("menu_generated", menu, {"new-planner": "B"})
    assert menus["source"] == {"service": "menu-api", "environment": "test"}
    assert attempt["event_type"] == "provider_attempt"
    latency_ms = attempt["properties"].pop("latency_ms")
    assert 0 <= latency_ms < 5_000
    assert {name: value for name, value in attempt["properties"].items() if value is not None} == {
        "provider": "ollama",
        "position": 0,
        "outcome": "error",
        "error_type": "ConnectionRefusedError",
    }
    assert request["event_type"] == "api_request"
    assert [request["properties"][name] for name in ("method", "route", "status_code")] == ["GET", "/menus/:id", 503]


async def test_the_gateway_judges_and_its_reason_is_logged(gateway: Client, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    """An impossible value raises nothing where it is published; the good events beside it arrive, and the log has the bound."""
    async with publishing_to(gateway.url, KEY, linger_s=0.1) as telemetry:
        for rating in (5, 6, 4):
            telemetry.satisfaction_rating(rating=rating, user_id="sdk-u-2")
    assert (telemetry.stats().sent, telemetry.stats().rejected) == (2, 1)
    assert [event["properties"]["rating"] for event in await ours(topic, "sdk-u-2")] == [5, 4]
    assert "less than or equal to 5" in caplog.text


async def test_events_of_one_user_keep_their_order(gateway: Client, topic: Topic) -> None:
    """A thousand events in several compressed requests stand in Kafka as they were published."""
    async with publishing_to(gateway.url, KEY) as telemetry:
        for number in range(1_000):
            telemetry.recipe_view(recipe_id=str(number), user_id="sdk-u-3")
        assert await asyncio.to_thread(telemetry.flush)
    assert [event["properties"]["recipe_id"] for event in await ours(topic, "sdk-u-3")] == [str(number) for number in range(1_000)]


async def test_a_wrong_key_is_said(gateway: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Without the right key the events are dropped under 401, the key is not logged, and closing does not wait."""
    async with publishing_to(gateway.url, "not-the-key") as telemetry:
        telemetry.menu_ready(menu_id="m")
    assert telemetry.stats().dropped == {"http_401": 1}
    assert "write key is not known" in caplog.text
    assert "not-the-key" not in caplog.text
