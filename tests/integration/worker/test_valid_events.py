"""Valid events of any shape through a real worker into the real engine and back: what is valid is insertable, and comes out as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from schemas.event import EVENT_TYPES
from tests.integration.worker.stack import Stack, ready
from tests.poison.valid_events import EVENTS
from tests.waiting import wait_until

EXAMPLES: Final = 300
CLAMPED_AFTER_MS: Final = 600_000


def made_up() -> list[dict[str, Any]]:
    """Events from hypothesis, of every type, plain and wild; no id twice."""
    events: dict[str, dict[str, Any]] = {}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS)
    def collect(event: dict[str, Any]) -> None:
        events[event["event_id"]] = event

    collect()
    return list(events.values())


def row_of(event: dict[str, Any], received_ms: int) -> dict[str, Any]:
    """What `events` must hold, by the contract: missing strings are '', a time too far ahead is the time it was received."""
    sent_ms = round(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000)
    clamped = sent_ms > received_ms + CLAMPED_AFTER_MS
    trace = event.get("trace") or {}
    return {
        "event_id": event["event_id"],
        "event_type": event["event_type"],
        "occurred_ms": received_ms if clamped else sent_ms,
        "time_clamped": clamped,
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
