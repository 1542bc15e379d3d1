from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.dead_letters.letters import LOST, Filter, Ready, is_given_up, prepare
from schemas.event import MAX_VALUE_BYTES, UNREAD_BATCH, BadEvent
from tests.unit.dead_letters.letters import ID, TEN, TOPIC, document, letter


def ready(outcome: Ready | BadEvent) -> Ready:
    assert isinstance(outcome, Ready), outcome
    return outcome


def refused(outcome: Ready | BadEvent) -> BadEvent:
    assert isinstance(outcome, BadEvent), outcome
    return outcome


def test_bytes_that_need_no_fix_are_sent_as_they_came() -> None:
    """Such as those of an event type that no worker knew then; a fix that finds nothing to do changes nothing either."""
    value = json.dumps(document(), indent=3).encode()
    for fixes in ((), ("strip-control-characters", "set-version-1")):
        assert ready(prepare(letter(value, "unknown_event_type"), fixes)).value == value


def test_fixes_are_applied_one_after_the_other() -> None:
    """What all of them together make of it is what is sent."""
    sent = document(schema_version=2, properties={"recipeCount": 1, "restrictions": [], "generationTimeS": 2, "outcome": "full"})
    one = ready(prepare(letter(sent), ("set-version-1", "snake-case-names", "seconds-to-ms")))
    assert json.loads(one.value)["properties"] == {"recipe_count": 1, "restrictions": [], "generation_time_ms": 2000, "outcome": "full"}
    bad = refused(prepare(letter(sent), ("seconds-to-ms", "snake-case-names", "set-version-1")))
    assert bad.code == "missing_field"


def test_numbers_stay_what_they_are() -> None:
    """Writing the event again neither rounds an integer nor turns a number that is too large into null: it is refused for what it is."""
    large = document(schema_version=2, properties={**document()["properties"], "n": 2**63 + 1})
    assert json.loads(ready(prepare(letter(large), ("set-version-1",))).value)["properties"]["n"] == 2**63 + 1
    huge = json.dumps(document(schema_version=2)).replace('"recipe_count": 5', '"recipe_count": 5, "n": 1e999').encode()
    assert isinstance(prepare(letter(huge), ("set-version-1",)), BadEvent)


@pytest.mark.parametrize("event_id", [None, ...])
def test_an_event_without_id_gets_that_of_its_place(event_id: Any) -> None:
    """Missing or null, the same each time, so that it counts once however often it is replayed."""
    sent = {**document(event_id=None), **({} if event_id is None else {"event_id": None})}
    first, again = (ready(prepare(letter(sent), ())).event["event_id"] for _ in range(2))
    later = ready(prepare(letter(sent, kafka_offset=99, attempts=2, origin=f"{TOPIC}/3/41"), ())).event["event_id"]
    assert first == again == later != ready(prepare(letter(sent, kafka_offset=42), ())).event["event_id"]


def test_the_key_rule_and_headers_go_with_it() -> None:
    """Key by user, else session; where it came from, which attempt it is, and when its event was received first."""
    one = ready(prepare(letter(document(), record_headers=(("trace", b"t"), ("moved_from", b"4"))), ("set-version-1",)))
    assert one.key == "u-42"
    place = f"{TOPIC}/3/41".encode()
    assert dict(one.headers) == {
        "trace": b"t",
        "first_received_at": str(TEN).encode(),
        "dlq.origin": place,
        "dlq.attempts": b"1",
        "dlq.fix": b"set-version-1",
    }
    second = letter(document(user_id=None, session_id="s-7"), kafka_offset=50, attempts=1, origin=place.decode())
    again = ready(prepare(second, ()))
    assert (again.key, dict(again.headers)["dlq.origin"], dict(again.headers)["dlq.attempts"]) == ("s-7", place, b"2")
    kept = letter(document(), record_headers=(("first_received_at", b"1795400000000"),))
    assert [value for name, value in ready(prepare(kept, ())).headers if name == "first_received_at"] == [b"1795400000000"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_utf8"),
        (b"[]", "not_an_object"),
        (UNREAD_BATCH + b"offsets 3 to 9", "unread_batch"),
        (json.dumps(document()).encode()[:100], "too_large"),
    ],
)
def test_what_has_no_event_in_it_is_lost(value: bytes, code: str) -> None:
    """And people are told why; no fix changes that."""
    bad = refused(prepare(letter(value, code), ("set-version-1",)))
    assert (bad.code, bad.reason) == (code, LOST[code])


def test_a_letter_of_bytes_that_are_read_today_is_not_lost() -> None:
    """An earlier version may have called them something else."""
    assert ready(prepare(letter(document(), "invalid_json"), ())).event["event_id"] == ID


def test_an_event_that_leaves_no_room_for_its_headers_is_refused() -> None:
    """The topic would not take it, and all that are sent with it would wait for ever."""
    padded = document(properties={**document()["properties"], "note": "x" * (MAX_VALUE_BYTES - 5_000)})
    assert refused(prepare(letter(padded), ())).code == "too_large"


def test_a_filter_takes_what_has_all_that_is_asked_for() -> None:
    """Each condition alone excludes; since is included and until is not."""
    one = letter(document())
    assert Filter().takes(one)
    assert Filter("invalid_field", "menu_generated", "menu-api", TEN, TEN + 1).takes(one)
    for other in (Filter("x"), Filter(event_type="x"), Filter(source="x"), Filter(since_ms=TEN + 1), Filter(until_ms=TEN)):
        assert not other.takes(one)


def test_three_attempts_are_all_there_are() -> None:
    """The fourth needs a person."""
    assert [is_given_up(letter(document(), attempts=n)) for n in range(5)] == [False, False, False, True, True]


def test_what_is_stripped_is_no_longer_refused_for_its_control_characters() -> None:
    """Every character that is refused goes, and no other."""
    sent = document(properties={**document()["properties"], "note": "a" + "".join(map(chr, range(0x180))) + "z"})
    assert refused(prepare(letter(sent), ())).code == "control_character"
    stripped = json.loads(ready(prepare(letter(sent), ("strip-control-characters",))).value)
    assert stripped["properties"]["note"] == "a\t\n\r" + "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180)])) + "z"
