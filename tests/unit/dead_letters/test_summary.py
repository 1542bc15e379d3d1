from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.dead_letters import summary
from pipeline.dead_letters.fixes import derived_id
from pipeline.dead_letters.reading import is_superseded
from pipeline.dead_letters.summary import State, Summary, as_text, states_of
from schemas.dead_letter import DeadLetter
from tests.unit.dead_letters.letters import ID, TEN, TOPIC, document, letter


async def states(monkeypatch: pytest.MonkeyPatch, stored_ms: dict[str, int], *letters: DeadLetter) -> list[State]:
    async def received_ms(_: Any, ids: set[str], from_ms: int) -> dict[str, int]:
        return {event_id: ms for event_id, ms in stored_ms.items() if event_id in ids and ms >= from_ms}

    monkeypatch.setattr(summary, "received_ms", received_ms)
    return await states_of(None, letters)  # type: ignore[arg-type]


async def test_a_letter_is_replayed_when_its_event_was_stored_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its own id, or under the one a replay gives it; an event that was there before is another one."""
    first, second = letter(document()), letter(document(), failed_at_ms=TEN + 9, kafka_offset=42)
    assert await states(monkeypatch, {ID: TEN + 5}, first, second) == ["replayed", "open"]
    assert await states(monkeypatch, {derived_id(second): TEN + 9}, first, second) == ["open", "replayed"]


async def test_the_id_in_conflict_says_nothing_about_the_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another event's, and that may be received again at any time."""
    conflict = letter(document(), "event_id_conflict")
    assert await states(monkeypatch, {ID: TEN + 5}, conflict) == ["open"]
    assert await states(monkeypatch, {derived_id(conflict): TEN + 5}, conflict) == ["replayed"]


async def test_what_can_never_be_replayed_is_lost_and_what_was_often_enough_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By error code and attempts; an id that is none is not asked for."""
    letters = letter(b"{", "invalid_json", event_id=""), letter(document(), attempts=3, origin=f"{TOPIC}/3/1", event_id="x'); --")
    assert await states(monkeypatch, {}, *letters) == ["lost", "given_up"]
    assert await states(monkeypatch, {}) == []


def test_a_letter_is_done_with_when_its_event_was_refused_again() -> None:
    """The last one speaks for the event; that of another place is another event."""
    last = {f"{TOPIC}/3/41": 2}
    chain = letter(document()), letter(document(), kafka_offset=50, attempts=1, origin=f"{TOPIC}/3/41")
    assert [is_superseded(one, last) for one in chain] == [True, True]
    assert not is_superseded(letter(document(), kafka_offset=60, attempts=2, origin=f"{TOPIC}/3/41"), last)
    assert not is_superseded(letter(document(), kafka_offset=42), last)


def test_people_see_groups_with_reasons_and_shapes_and_no_values() -> None:
    """The largest first, with how many there are of what, and when."""
    all_of_them = Summary()
    for i in range(3):
        all_of_them.add(letter(document(), failed_at_ms=TEN + i * 1000), "open" if i else "replayed")
    all_of_them.add(letter(b"\xff", "invalid_utf8", service="", reason="not UTF-8 at byte 0"), "lost")
    lines = list(as_text(all_of_them.groups))
    assert lines[0] == "invalid_field from menu-api: 3 (2 open, 1 replayed), 2026-11-23T10:00:00.000Z to 2026-11-23T10:00:02.000Z"
    assert lines[1] == "  3 × because"
    assert lines[2].startswith('  {"event_id":"str","event_type":"str"')
    assert lines[3:] == [
        "invalid_utf8 from nobody knows whom: 1 (1 lost), 2026-11-23T10:00:00.000Z to 2026-11-23T10:00:00.000Z",
        "  1 × not UTF-8 at byte 0",
        "  1 bytes that are not JSON",
    ]
    group = all_of_them.groups[0].as_document()
    assert (group["count"], group["open"], group["replayed"], group["event_types"]) == (3, 2, 1, {"menu_generated": 3})
    assert "u-42" not in json.dumps(group)
