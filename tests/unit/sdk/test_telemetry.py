from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pipeline.gateway import limits as gateway
from pipeline.runtime.errors import ConfigurationError, Reject
from pipeline.sdk import Limits, Telemetry
from pipeline.sdk.limits import MAX_EVENT_BYTES
from tests.unit.sdk.clock import ManualClock

NOWHERE = "http://127.0.0.1:1"


def telemetry_of(**arguments: Any) -> Telemetry:
    known = {"service": "menu-api", "environment": "production"}
    return Telemetry(NOWHERE, **(known | arguments))


def event_of(telemetry: Telemetry, **fields: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(telemetry._value("menu_ready", fields))
    return document


def test_an_event_has_its_id_and_time_from_the_call() -> None:
    """The envelope is that of the contract: UUIDv7, ISO 8601 with ms and Z, who sent it; what is not given is not there."""
    telemetry = telemetry_of(version="1.4.2", clock=ManualClock())
    event = event_of(telemetry, menu_id="m-1")
    assert uuid.UUID(event.pop("event_id")).version == 7
    assert event == {
        "event_type": "menu_ready",
        "schema_version": 1,
        "occurred_at": "1970-01-01T00:16:40.000Z",
        "source": {"service": "menu-api", "environment": "production", "version": "1.4.2"},
        "properties": {"menu_id": "m-1"},
    }
    telemetry.close()


def test_what_is_said_about_an_event_is_not_among_its_properties() -> None:
    """The envelope's fields go where the contract has them, absent ones nowhere."""
    telemetry = telemetry_of()
    paris = timezone(timedelta(hours=1))
    about = {"user_id": "u-42", "session_id": None, "trace": {"trace_id": "ab"}, "flags": {"planner": "B"}}
    event = event_of(telemetry, menu_id="m-1", occurred_at=datetime(2026, 11, 23, 11, 0, 0, 123_999, paris), **about)
    assert event["occurred_at"] == "2026-11-23T10:00:00.123Z"
    assert {name: event.get(name) for name in about} == about
    assert "session_id" not in event
    assert event["properties"] == {"menu_id": "m-1"}
    telemetry.close()


@pytest.mark.parametrize(
    ("fields", "reason", "said"),
    [
        ({"menu_id": object()}, "invalid", "not JSON serializable"),
        ({"menu_id": "\ud800"}, "invalid", "surrogates"),
        ({"menu_id": "m", "occurred_at": datetime(2026, 1, 1)}, "invalid", "time zone"),  # noqa: DTZ001  the caller's mistake
        ({"menu_id": "m", "occurred_at": "2026-01-01"}, "invalid", "time zone"),
        ({"menu_id": "m" * MAX_EVENT_BYTES}, "too_large", "1044480"),
    ],
)
def test_a_mistake_raises_nothing_and_is_counted_and_logged(
    fields: dict[str, Any], reason: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The business goes on; the log says which event and why, once however often it happens."""
    telemetry = telemetry_of()
    for _ in range(3):
        telemetry.menu_ready(**fields)
    assert telemetry.stats().dropped == {reason: 3}
    (line,) = caplog.messages
    assert "menu_ready" in line
    assert said in line
    telemetry.close()


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"recipe_count": "5", "restrictions": [], "generation_time_ms": 1.0, "outcome": "full"}, "invalid_field", "recipe_count"),
        ({"recipe_count": 5, "restrictions": [], "outcome": "full"}, "missing_field", "generation_time_ms"),
        ({"recipe_count": 5, "restrictions": [], "generation_time_ms": object(), "outcome": "full"}, "invalid", "serializable"),
    ],
)
def test_strict_raises_what_the_gateway_would_say(fields: dict[str, Any], code: str, said: str) -> None:
    """In a test of a service a wrong event fails the test."""
    telemetry = telemetry_of(strict=True)
    with pytest.raises(Reject, match=said) as raised:
        telemetry.menu_generated(**fields)
    assert raised.value.code == code
    assert telemetry.stats().queued == 0
    telemetry.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {"service": ""},
        {"environment": "e" * 101},
        {"version": ""},
        {"write_key": "key\r\nX-Evil: 1"},
    ],
)
def test_what_cannot_be_right_is_said_at_the_start(arguments: dict[str, Any]) -> None:
    """A service that is configured wrongly does not start silently."""
    with pytest.raises(ConfigurationError):
        telemetry_of(**arguments)


@pytest.mark.parametrize(
    "url",
    ["gateway:8100", "ftp://gateway", "http://", "http://gateway:port", "http://gateway:99999", "http://gateway/a b", "http://gateway\n"],
)
def test_an_address_is_looked_at_the_start(url: str) -> None:
    """Only the address of an HTTP server is taken."""
    with pytest.raises(ConfigurationError, match="address"):
        Telemetry(url, service="menu-api", environment="production")


def test_the_write_key_is_not_shown() -> None:
    """Whoever prints the parts does not print the secret."""
    telemetry = telemetry_of(write_key="very-secret")
    assert "very-secret" not in repr(telemetry) + repr(telemetry._sender._transport)
    telemetry.close()


def test_its_limits_are_within_the_gateways() -> None:
    """One request has no more than the gateway takes, at any compression; an event has exactly what it takes."""
    limits = Limits()
    assert MAX_EVENT_BYTES == gateway.MAX_EVENT_BYTES
    assert limits.batch_events <= gateway.MAX_EVENTS
    assert MAX_EVENT_BYTES < limits.batch_bytes <= min(gateway.FREE_RATIO_BYTES, gateway.MAX_BODY_BYTES)
    assert limits.request_timeout_s > gateway.ACK_TIMEOUT_S


def test_a_number_of_days_ago() -> None:
    """A moment before 1970 or far in the future is passed on: the gateway judges."""
    telemetry = telemetry_of()
    assert event_of(telemetry, menu_id="m", occurred_at=datetime(1969, 12, 31, tzinfo=UTC))["occurred_at"] == "1969-12-31T00:00:00.000Z"
    telemetry.close()
