from __future__ import annotations

import uuid
from typing import Any

import pytest

from pipeline.dead_letters.fixes import FIXES, about, derived_id
from tests.unit.dead_letters.letters import TOPIC, document, letter


def fixed(name: str, event: dict[str, Any]) -> dict[str, Any]:
    return FIXES[name](event, letter(event))


def test_a_new_event_id_is_that_of_the_first_refusal() -> None:
    """It is a UUID, the same for all letters of one event, another for every other, and replaces the seed's spelling too."""
    first, second = letter(document()), letter(document(), kafka_offset=77, attempts=1, origin=f"{TOPIC}/3/41")
    given = FIXES["new-event-id"]({"eventId": "x", "event_type": "y"}, first)
    assert given == {"event_type": "y", "event_id": derived_id(second)}
    assert uuid.UUID(given["event_id"]).version == 5
    assert derived_id(letter(document(), kafka_offset=42)) != derived_id(first) != derived_id(letter(document(), kafka_partition=4))


@pytest.mark.parametrize("version", [2, "1", None, "v1", 1.5])
def test_any_version_is_called_one(version: Any) -> None:
    """Also one that is missing."""
    assert fixed("set-version-1", document(schema_version=version)) == document()


@pytest.mark.parametrize(
    ("sent", "right"),
    [
        ({"generation_time_s": 1.25}, {"generation_time_ms": 1250.0}),
        ({"duration_seconds": 2, "wait_sec": 3}, {"duration_ms": 2000, "wait_ms": 3000}),
        ({"wait_s": 3, "wait_ms": 5}, {"wait_s": 3, "wait_ms": 5}),
        ({"wait_s": "3", "has_s": True, "s": 1, "restrictions": ["x"]}, {"wait_s": "3", "has_s": True, "s": 1, "restrictions": ["x"]}),
    ],
)
def test_seconds_become_milliseconds(sent: dict[str, Any], right: dict[str, Any]) -> None:
    """Only numbers, and only where there are no milliseconds."""
    assert fixed("seconds-to-ms", document(properties=sent)) == document(properties=right)


@pytest.mark.parametrize(
    ("sent", "right"),
    [
        ("2026-11-23T10:00:00.5", "2026-11-23T10:00:00.500Z"),
        ("2026-11-23 10:00:00", "2026-11-23T10:00:00.000Z"),
        (1_795_428_000, "2026-11-23T10:00:00.000Z"),
        (1_795_428_000.25, "2026-11-23T10:00:00.250Z"),
        (1_795_428_000_123, "2026-11-23T10:00:00.123Z"),
        ("2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00+01:00"),
        ("yesterday", "yesterday"),
        (17, 17),
        (True, True),
        ([], []),
    ],
)
def test_a_time_is_one_in_utc(sent: Any, right: Any) -> None:
    """Without a zone it is UTC, a number counts from 1970; what has a zone, or is no time, stays."""
    assert fixed("utc-times", document(occurred_at=sent)) == document(occurred_at=right)
    assert fixed("utc-times", {"occurredAt": sent}) == {"occurredAt": right}
    assert fixed("utc-times", {}) == {}


def test_names_become_snake_case() -> None:
    """Names of fields around and in an event and its type, but not those of flags; a name that is there already wins."""
    sent = {
        "eventType": "menuGenerated",
        "userId": "u",
        "user_id": "v",
        "source": {"serviceName": 1},
        "flags": {"newPlanner": "B"},
        "properties": {"HTTPStatus": 1, "recipe-count": 2, "menuID": {"innerName": 3}},
    }
    assert fixed("snake-case-names", sent) == {
        "event_type": "menu_generated",
        "user_id": "v",
        "source": {"service_name": 1},
        "flags": {"newPlanner": "B"},
        "properties": {"http_status": 1, "recipe_count": 2, "menu_id": {"innerName": 3}},
    }


def test_control_characters_go_and_text_stays() -> None:
    """In names and values however deep; tab and line ends are text."""
    sent = {"a\0b": ["x\x1by", {"c": "1\t2\n3\r\x7f"}], "n": 5, "t": True}
    assert fixed("strip-control-characters", sent) == {"ab": ["xy", {"c": "1\t2\n3\r"}], "n": 5, "t": True}


@pytest.mark.parametrize("name", FIXES)
def test_every_fix_says_what_it_does(name: str) -> None:
    """In one sentence, for people who choose one."""
    assert about(name).endswith(".")
    assert len(about(name)) > 40


@pytest.mark.parametrize("properties", [None, [], "x", 5])
@pytest.mark.parametrize("name", FIXES)
def test_no_fix_fails_on_what_is_no_event(name: str, properties: Any) -> None:
    """It is refused afterwards, with its reason."""
    event = {"event_type": 5, "source": [], "trace": "x", "properties": properties, "occurred_at": {}}
    assert isinstance(fixed(name, event), dict)
