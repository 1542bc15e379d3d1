"""What a request says beside its events: who is a bot, when it was sent; and what it is told about broken schemas and ids of nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import modes
from tests.contract.gateway.gateways import Client
from tests.contract.gateway.topic import Topic
from tests.unit.gateway.bodies import event, json_bytes, numbered_id

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HEADLESS = CHROME.replace("Chrome", "HeadlessChrome")
ORIGIN = "https://app.example"
BROKEN = {"recipe_count": 5, "restrictions": [], "generation_time_ms": -1, "outcome": "perhaps"}


async def values(topic: Topic) -> list[dict[str, Any]]:
    """What has been published since the last time, by event id."""
    return sorted((json.loads(record.value) for record in await topic.read()), key=lambda value: str(value["event_id"]))


@pytest.mark.parametrize(
    ("headers", "query", "reasons"),
    [
        ({"User_Agent": CHROME, "Origin": ORIGIN}, "", None),
        ({"User_Agent": GOOGLEBOT}, "", ["crawler"]),
        ({"User_Agent": HEADLESS, "Origin": ORIGIN}, "?webdriver=1", ["headless", "webdriver"]),
        ({"User_Agent": CHROME, "Origin": ORIGIN}, "?webdriver=0", None),
        ({"User_Agent": "", "Origin": ORIGIN}, "", ["no_user_agent"]),
        ({"User_Agent": "python-requests/2.32.3"}, "", None),
    ],
)
async def test_bots_are_flagged_by_the_gateway_alone(
    gateway: Client, topic: Topic, headers: dict[str, str], query: str, reasons: list[str] | None
) -> None:
    """Their events are accepted like any others and published with the reasons, not with those a client writes."""
    sent = [event(event_id=numbered_id(1)), event(event_id=numbered_id(2), bot_reasons=["innocent"])]
    answer = await gateway.post(sent, query=query, **headers)
    assert (answer.status, answer.json["accepted"]) == (202, 2)
    assert [value.get("bot_reasons") for value in await values(topic)] == [reasons, reasons]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json_bytes(event(event_id=numbered_id(1))), "application/json"),
        (json_bytes([event(event_id=numbered_id(1))]), "text/plain;charset=UTF-8"),
        (json_bytes(event(event_id=numbered_id(1))) + b"\n", "application/x-ndjson"),
    ],
)
async def test_a_request_says_for_all_its_events_when_it_was_sent(gateway: Client, topic: Topic, body: bytes, content_type: str) -> None:
    """An object, a beacon and lines alike, in ms or ISO 8601."""
    for sent_at in ("1795428000123", "2026-11-23T10:00:00.123Z"):
        answer = await gateway.post(body, query=f"?sent_at={sent_at}", Content_Type=content_type)
        assert (answer.status, answer.json["accepted"]) == (202, 1)
        assert [value["sent_at"] for value in await values(topic)] == ["2026-11-23T10:00:00.123Z"]


@pytest.mark.parametrize("query", ["?sent_at=yesterday", "?sent_at=12", "?webdriver=maybe"])
async def test_a_parameter_that_says_nothing_is_refused(gateway: Client, topic: Topic, query: str) -> None:
    """Whole, before anything is published."""
    answer = await gateway.post(event(), query=query)
    assert (answer.status, answer.json["error"]) == (400, "invalid_parameter")
    assert await topic.read() == []


@pytest.mark.parametrize(("mode", "warned"), [("warn", True), ("observe", False)])
async def test_a_broken_event_of_a_lenient_type_is_accepted(
    gateway: Client, topic: Topic, monkeypatch: pytest.MonkeyPatch, mode: str, warned: bool
) -> None:
    """It is published as it came; a sender is told with `warn` alone, in a dry run too, and nothing is said when nothing is wrong."""
    monkeypatch.setattr(modes, "MODES", {"menu_generated": mode})
    sent = [event(event_id=numbered_id(1)), event(event_id=numbered_id(2), properties=BROKEN)]
    answer = await gateway.post(sent)
    assert (answer.status, answer.json["accepted"], answer.json["rejected"]) == (202, 2, [])
    assert [value["properties"] for value in await values(topic)] == [sent[0]["properties"], BROKEN]
    assert ("warnings" in answer.json) == warned
    for warning in answer.json.get("warnings", []):
        assert (warning["index"], warning["event_id"]) == (1, numbered_id(2))
        assert {error["field"] for error in warning["errors"]} == {"properties.generation_time_ms", "properties.outcome"}
        assert all(error["message"] for error in warning["errors"])
    assert (await gateway.post(sent, query="?dry_run=1")).json == answer.json
    assert "warnings" not in (await gateway.post(sent[:1])).json


async def test_an_id_of_nobody_is_one_rejection(gateway: Client, topic: Topic) -> None:
    """With its field and what to do, among events that are taken."""
    answer = await gateway.post([event(user_id="undefined", event_id=numbered_id(1)), event(user_id="u-1", event_id=numbered_id(2))])
    assert (answer.status, answer.json["event_ids"]) == (202, [numbered_id(2)])
    ((index, event_id, errors),) = [(r["index"], r["event_id"], r["errors"]) for r in answer.json["rejected"]]
    assert (index, event_id, [error["field"] for error in errors]) == (0, numbered_id(1), ["user_id"])
    assert "leave user_id out" in errors[0]["message"]
    assert [value["user_id"] for value in await values(topic)] == ["u-1"]
