"""What the gateway puts into events: the sender's clock, and why they are a bot's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.gateway.intake import Intake, read_events, read_sent_at
from pipeline.runtime.errors import Reject
from schemas import modes
from tests.unit.gateway.bodies import event, json_bytes, numbered_id, numbered_ids

AT = "2026-11-23T10:00:00.123Z"


def take(document: Any, **marks: Any) -> Intake:
    return read_events(json_bytes(document), ndjson=False, new_id=numbered_ids().__next__, **marks)


def published(intake: Intake) -> list[dict[str, Any]]:
    """The values, by event id."""
    return sorted((json.loads(value) for group in intake.records.values() for _, value in group), key=lambda e: str(e["event_id"]))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (None, None),
        ("", None),
        ("1795428000123", AT),
        ("2026-11-23T10:00:00.123Z", AT),
        ("2026-11-23T11:00:00.123456+01:00", AT),
        ("631152000000", "1990-01-01T00:00:00.000Z"),
    ],
)
def test_the_clock_of_a_request_is_ms_or_iso(sent: str | None, read: str | None) -> None:
    """Either form, in UTC; none is none."""
    assert read_sent_at(sent) == read


@pytest.mark.parametrize("sent", ["now", "-1", "1.5", "1795428000", "9" * 30, "2026-11-23T10:00:00", "2101-01-01T00:00:00Z", "\u0661"])
def test_a_clock_that_is_none_is_refused(sent: str) -> None:
    """Seconds, no zone, before 1990 or after 2100: the sender is told."""
    with pytest.raises(Reject, match="ms since 1970, or ISO 8601 with a zone") as refused:
        read_sent_at(sent)
    assert refused.value.code == "invalid_parameter"


def test_the_clock_of_a_request_is_each_events_that_has_none_of_its_own() -> None:
    """Null is none; one that is wrong is the event's own fault."""
    own = "2026-11-23T09:00:00Z"
    marks: list[dict[str, Any]] = [{}, {"sent_at": own}, {"sent_at": None}, {"sent_at": "soon"}]
    events = [event(event_id=numbered_id(n)) | more for n, more in enumerate(marks)]
    intake = take(events, sent_at=AT)
    assert [e["sent_at"] for e in published(intake)] == [AT, own, AT]
    assert [error.field for error in intake.rejected[0].bad.errors] == ["sent_at"]


def test_only_the_gateway_says_who_is_a_bot() -> None:
    """What a client writes is dropped, whatever it is, and does not even make the event a bad one."""
    events = [event(event_id=numbered_id(n), bot_reasons=said) for n, said in enumerate([["crawler"], [], "no", {"a": [1]}])]
    assert ["bot_reasons" in e for e in published(take(events))] == [False] * 4
    assert [e["bot_reasons"] for e in published(take(events, bot_reasons=["headless"]))] == [["headless"]] * 4


def test_violations_are_told_by_place_and_do_not_keep_an_event_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among good and refused ones, of a type that is warned."""
    monkeypatch.setattr(modes, "MODES", {"menu_generated": "warn"})
    broken = event(event_id=numbered_id(2), properties={"outcome": "full"})
    intake = take([event(event_id=numbered_id(1)), {}, broken])
    assert intake.event_ids == [numbered_id(1), numbered_id(2)]
    assert [r.index for r in intake.rejected] == [1]
    ((index, event_id, fields),) = [(v.index, v.event_id, {e.field for e in v.bad.errors}) for v in intake.violations]
    assert (index, event_id) == (2, numbered_id(2))
    assert fields == {"properties.recipe_count", "properties.restrictions", "properties.generation_time_ms"}
    assert intake.size == 3
