"""Valid events of any shape through a real worker into the real engine and back: what is valid is insertable, and comes out as it was."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from schemas.event import EVENT_TYPES
from tests.contract.seed.captures import CAPTURES, envelope
from tests.integration.worker.stack import Stack, ready
from tests.poison.valid_events import EVENTS
from tests.waiting import wait_until

EXAMPLES: Final = 300
CLAMPED_AFTER_MS: Final = 600_000
BELIEVED_MS: Final = 60_000
FIRST_MS: Final = 631_152_000_000  # 1990


def made_up() -> list[dict[str, Any]]:
    """Events from hypothesis, of every type, plain and wild; no id twice."""
    events: dict[str, dict[str, Any]] = {}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS)
    def collect(event: dict[str, Any]) -> None:
        events[event["event_id"]] = event

    collect()
    return list(events.values())


def ms_of(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


def row_of(event: dict[str, Any], received_ms: int) -> dict[str, Any]:
    """What `events` must hold, by the contract: missing strings are '', a time too far ahead is the time it was received.

    Before that the time is moved by as much as `sent_at` is off, if that is more than a minute and leaves it after 1990.
    """
    sent_ms = ms_of(event["occurred_at"])
    skew_ms = received_ms - ms_of(event["sent_at"]) if event.get("sent_at") else 0
    at_ms = sent_ms + skew_ms if abs(skew_ms) > BELIEVED_MS and sent_ms + skew_ms >= FIRST_MS else sent_ms
    occurred_ms = received_ms if at_ms > received_ms + CLAMPED_AFTER_MS else at_ms
    trace = event.get("trace") or {}
    return {
        "event_id": event["event_id"],
        "event_type": event["event_type"],
        "occurred_ms": occurred_ms,
        "time_clamped": occurred_ms != sent_ms,
        "service": event["source"]["service"],
        "version": event["source"].get("version") or "",
        "environment": event["source"]["environment"],
        "user_id": event.get("user_id") or "",
        "session_id": event.get("session_id") or "",
        "trace_id": trace.get("trace_id", ""),
        "flags": event.get("flags") or {},
        "properties": event["properties"],
        "source_name": "",
    }


@pytest.mark.timeout(240)
async def test_every_valid_event_is_stored_as_it_was_sent(stack: Stack) -> None:
    """Unknown properties, any text, numbers to the edge of 64 bits, years 1990 to 2100: each column comes back, each view can read it."""
    events = {event["event_id"]: event for event in made_up()}
    worker = stack.start_worker()
    wait_until(lambda: ready(worker), 60, "worker ready")
    await stack.send(events.values())
    ours = f"SELECT count() FROM events WHERE toString(event_id) IN {tuple(events)}"  # what earlier tests left may still be on its way
    wait_until(lambda: ready(worker) and stack.one(ours) == len(events), 60, f"{len(events)} events are stored")
    columns = (
        "toString(event_id) AS event_id, event_type, toUnixTimestamp64Milli(occurred_at) AS occurred_ms, time_clamped, service, version"
    )
    more = "environment, user_id, session_id, trace_id, flags, properties, source_name, toUnixTimestamp64Milli(received_at) AS received_ms"
    found = {row["event_id"]: row for row in stack.query(f"SELECT {columns}, {more} FROM events") if row["event_id"] in events}
    assert set(found) == set(events)
    for event_id, row in found.items():
        row["properties"] = json.loads(row["properties"])
        assert row == row_of(events[event_id], row["received_ms"]) | {"received_ms": row["received_ms"]}
    for event_type in EVENT_TYPES:
        ids = {row["id"] for row in stack.query(f"SELECT *, toString(event_id) AS id FROM {event_type}")}
        assert ids >= {event_id for event_id, event in events.items() if event["event_type"] == event_type}
    assert stack.one("SELECT max(occurred_at) FROM events") <= datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.999")
    assert worker.process.poll() is None


async def test_every_call_of_the_customers_document_reaches_its_view(stack: Stack) -> None:
    """All literal payloads of the seed at once, keyed as their sender can: each row has our names, the ids and the name it came under."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    source = {"service": f"seed-{uuid.uuid4()}", "environment": "test"}
    events = [
        envelope(i, c.event_type, c.sent) | {"event_id": str(uuid.uuid4()), "occurred_at": now, "source": source}
        for i, c in enumerate(CAPTURES)
    ]
    worker = stack.start_worker()
    wait_until(lambda: ready(worker), 60, "worker ready")
    await stack.send(events)
    of_source = f"service = '{source['service']}'"
    wait_until(lambda: stack.one(f"SELECT count() FROM events WHERE {of_source}") == len(events), 60, "all are stored")
    common = set(stack.query(f"SELECT * FROM events WHERE {of_source} LIMIT 1")[0])
    for event, capture in zip(events, CAPTURES, strict=True):
        (row,) = stack.query(f"SELECT * FROM {capture.stored_as} WHERE event_id = '{event['event_id']}'")
        sent_as = "" if capture.event_type == capture.stored_as else capture.event_type
        assert (row["user_id"], row["session_id"], row["source_name"]) == (capture.user_id, capture.session_id, sent_as), capture.call
        own = {name: value for name, value in row.items() if name not in common}
        assert own == dict.fromkeys(own) | capture.columns, capture.call
        stored = stack.one(f"SELECT properties FROM events WHERE event_id = '{event['event_id']}'")
        assert json.loads(stored) == capture.stored, capture.call
    rated = "SELECT labels['name'] AS name, labels['rating'] AS rating FROM panes WHERE metric = 'web_vital' AND labels['page'] = '/menus'"
    expected = {(c.columns["name"], c.columns["rating"]) for c in CAPTURES if c.stored_as == "web_vital"}
    wait_until(lambda: {(row["name"], row["rating"]) for row in stack.query(rated)} == expected, 30, "panes have the ratings of the values")
    attempts = "SELECT sum(count), sum(sum), sum(length(buckets)) FROM panes WHERE metric = 'provider_attempt' AND labels = {}"
    (pane,) = stack.query(attempts.format("map('provider', 'ollama', 'outcome', 'success')"))
    assert list(pane.values()) == [1, 0, 0]
