from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.gateway import limits
from pipeline.gateway.intake import Intake, read_events
from pipeline.runtime.errors import Reject
from schemas.partitioning import TEST_VECTORS
from tests.unit.gateway.bodies import KNOWN_ID, event, json_bytes, numbered_id, numbered_ids


def take(body: bytes | Any, *, ndjson: bool = False) -> Intake:
    return read_events(body if isinstance(body, bytes) else json_bytes(body), ndjson=ndjson, new_id=numbered_ids().__next__)


def values(intake: Intake) -> list[dict[str, Any]]:
    return [json.loads(value) for group in intake.records.values() for _, value in group]


def test_one_event_becomes_one_record() -> None:
    """The value is the event as it was sent, the key its user, the partition the published vector of that key."""
    sent = event(event_id=KNOWN_ID, user_id="u-42", session_id="s-7")
    intake = take(sent)
    assert intake.event_ids == [KNOWN_ID]
    assert intake.rejected == []
    [(partition, [(key, value)])] = intake.records.items()
    assert (partition, key) == (TEST_VECTORS["u-42"][1], b"u-42")
    assert json.loads(value) == sent
    assert value == json.dumps(sent, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"user_id": "u-42", "session_id": "s-7"}, "u-42"),
        ({"session_id": "s-7"}, "s-7"),
        ({"user_id": "", "session_id": "s-7"}, None),
        ({}, KNOWN_ID),
        ({"event_id": KNOWN_ID.upper()}, KNOWN_ID),
        ({"userId": "Zoë"}, "Zoë"),
        ({"userId": "ignored", "user_id": "🥑"}, "🥑"),
        ({"sessionId": "s-7"}, "s-7"),
    ],
)
def test_the_key_is_the_canonical_one(fields: dict[str, Any], key: str | None) -> None:
    """User, else session, else the event itself in lower case, also under the names of the seed; an empty id is no event."""
    intake = take(event(**{"event_id": KNOWN_ID} | fields))
    if key is None:
        assert intake.rejected[0].bad.errors[0].field == "user_id"
    else:
        assert intake.records == {TEST_VECTORS[key][1]: [(key.encode(), intake.records[TEST_VECTORS[key][1]][0][1])]}


def test_the_spelling_of_the_seed_goes_to_kafka_as_it_is() -> None:
    """The worker gives names, not the gateway: the record keeps what was sent."""
    sent = event(event_id=None, eventId=KNOWN_ID, event_type="recipe_viewed", userId="u-42", properties={"recipeId": "r-1", "timeSpent": 5})
    intake = take(sent)
    assert intake.event_ids == [KNOWN_ID]
    assert values(intake) == [sent]


def test_an_event_without_id_is_given_one() -> None:
    """Absent or null, each event has its own id, in the record as in the answer; nothing else is added."""
    intake = take([event(), {**event(), "event_id": None}, event(event_id=KNOWN_ID)])
    assert intake.event_ids == [numbered_id(0), numbered_id(1), KNOWN_ID]
    assert sorted(v["event_id"] for v in values(intake)) == sorted(intake.event_ids)
    assert all(v == {**event(), "event_id": v["event_id"]} for v in values(intake))


def test_a_bad_event_is_refused_alone_and_with_every_reason() -> None:
    """Its neighbours are taken in their order; index and id say which one it was."""
    bad = event(event_id=KNOWN_ID, occurred_at="yesterday", properties={"recipe_count": -1})
    intake = take([event(event_id=numbered_id(1)), bad, event(event_id=numbered_id(2))])
    assert intake.event_ids == [numbered_id(1), numbered_id(2)]
    [rejection] = intake.rejected
    assert (rejection.index, rejection.event_id) == (1, KNOWN_ID)
    assert {error.field for error in rejection.bad.errors} == {
        "occurred_at",
        "properties.recipe_count",
        "properties.restrictions",
        "properties.generation_time_ms",
        "properties.outcome",
    }


def test_a_refused_event_shows_no_id_that_it_never_had() -> None:
    """An id that was only assigned is not reported: nothing is stored under it."""
    [rejection] = take(event(schema_version=2)).rejected
    assert rejection.event_id is None


@pytest.mark.parametrize("element", [1, "x", None, True, [], [event()], 1.5])
def test_an_element_that_is_no_object_is_one_rejection(element: Any) -> None:
    """A number among events does not stop the events."""
    intake = take([event(event_id=KNOWN_ID), element])
    assert intake.event_ids == [KNOWN_ID]
    assert [r.index for r in intake.rejected] == [1]


def test_every_line_is_an_event() -> None:
    """A bad line is one rejection; blank lines and carriage returns are nothing; indexes count the other lines."""
    lines = [json_bytes(event(event_id=numbered_id(1))), b'{"event_id": ', b"", b"[]", b"  ", json_bytes(event(event_id=numbered_id(2)))]
    for ending in (b"\n", b"\r\n"):
        intake = take(ending.join(lines) + ending, ndjson=True)
        assert intake.event_ids == [numbered_id(1), numbered_id(2)]
        assert [(r.index, r.event_id, r.bad.code) for r in intake.rejected] == [(1, None, "invalid_json"), (2, None, "not_an_object")]


def test_lines_are_recognised_without_their_content_type() -> None:
    """A first line that is an object makes the others lines too, also bad ones."""
    intake = take(json_bytes(event(event_id=numbered_id(1))) + b"\n{broken\n" + json_bytes(event(event_id=numbered_id(2))))
    assert intake.event_ids == [numbered_id(1), numbered_id(2)]
    assert [r.index for r in intake.rejected] == [1]


def test_lines_cannot_shift_their_neighbours() -> None:
    """Two lines that would be two events only together are two rejections."""
    whole = json_bytes(event(event_id=numbered_id(1))).decode()
    halves = f'{whole},{{"a":[{{}}\n{{}}]}}'.encode()
    intake = take(halves, ndjson=True)
    assert intake.event_ids == []
    assert [r.index for r in intake.rejected] == [0, 1]


def test_an_empty_array_is_no_event_and_no_error() -> None:
    """Nothing to take, nothing refused."""
    assert take(b"[]") == Intake()


def test_a_byte_order_mark_is_not_content() -> None:
    """Files from Windows begin with one."""
    assert take(b"\xef\xbb\xbf" + json_bytes(event(event_id=KNOWN_ID))).event_ids == [KNOWN_ID]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \r\n\t ", "empty_body"),
        (b"{", "invalid_json"),
        (b'{"a": 1\n}}', "invalid_json"),
        (b'{"a": \n1}\n{"b": 2}', "invalid_json"),
        (b"null", "invalid_json"),
        (b"42", "invalid_json"),
        (b'"text"', "invalid_json"),
        (b"[{}", "invalid_json"),
        (b"[{}]]", "invalid_json"),
        (b"\xff\xfe{}", "invalid_json"),
        (b'[{"event_type":"\xff"}]', "invalid_json"),
        (b'[{"x":NaN}]', "invalid_json"),
        (b'[{"x":"\\ud800"}]', "invalid_json"),
        (b'[{"a":' + b"[" * 500 + b"]" * 500 + b"}]", "invalid_json"),
        (b"[" * 1_000_000, "too_many_values"),
        (b"{" + b",".join(b'"%x":1' % key for key in range(limits.MAX_COMMAS + 2)) + b"}", "too_many_values"),
        (b"{}\n" * 1_001, "too_many_events"),
        (b"[" + b"{}," * 1_000 + b"{}]", "too_many_events"),
        (b"\n" * 100_000 + b"{}" + b"\n" * 100_000 + b"{}", "too_many_values"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(body: bytes, code: str) -> None:
    """Each kind of poison has its code, none gets further."""
    with pytest.raises(Reject) as reject:
        take(body)
    assert reject.value.code == code


def nested(levels: int) -> Any:
    document: Any = []
    for _ in range(levels - 1):
        document = [document]
    return document


def test_depth_is_bounded_per_event() -> None:
    """32 levels are taken, 33 refuse that event alone; brackets inside text are not levels."""
    deepest = nested(limits.MAX_DEPTH - 2)  # inside the event and its properties
    good = event(event_id=numbered_id(1))
    good["properties"] |= {"deep": deepest, "text": "[" * 100 + "{" * 100}
    bad = event(event_id=numbered_id(2))
    bad["properties"] |= {"deep": [deepest]}
    intake = take([good, bad])
    assert intake.event_ids == [numbered_id(1)]
    assert [(r.index, r.event_id, r.bad.code) for r in intake.rejected] == [(1, numbered_id(2), "too_deep")]


def test_an_event_that_the_topic_cannot_take_is_refused_alone() -> None:
    """One byte more than fits is a rejection of that event; one that just fits is taken."""
    small = event(event_id=numbered_id(1), properties=event()["properties"] | {"text": ""})
    room = limits.MAX_EVENT_BYTES - len(json.dumps(small, separators=(",", ":")))
    fits = event(event_id=numbered_id(1), properties=event()["properties"] | {"text": "x" * room})
    large = event(event_id=numbered_id(2), properties=event()["properties"] | {"text": "x" * (room + 1)})
    intake = take([fits, large])
    assert intake.event_ids == [numbered_id(1)]
    assert [(r.index, r.event_id, r.bad.code) for r in intake.rejected] == [(1, numbered_id(2), "too_large")]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400, "1e999", "-1e999"])
def test_a_number_that_would_change_is_refused(number: str) -> None:
    """What does not fit is refused in that event, in an array as in a line, rather than rounded."""
    text = json.dumps(event(event_id=KNOWN_ID, properties=event()["properties"] | {"n": "NUMBER"})).replace('"NUMBER"', number).encode()
    for body, ndjson in ((b"[" + text + b"]", False), (text, True)):
        [rejection] = take(body, ndjson=ndjson).rejected
        assert (rejection.event_id, rejection.bad.code) == (KNOWN_ID, "number_out_of_range")


@pytest.mark.parametrize("number", ["18446744073709551615", "-9223372036854775808", "0.1", "1e-300", "1.7976931348623157e308", "-0.0"])
def test_a_number_that_fits_reaches_the_record_unchanged(number: str) -> None:
    """Integers to 64 bits and every double."""
    text = json.dumps(event(event_id=KNOWN_ID, properties=event()["properties"] | {"n": "NUMBER"})).replace('"NUMBER"', number).encode()
    [value] = values(take(text))
    assert repr(value["properties"]["n"]) == repr(json.loads(number))


def test_a_control_character_is_refused_where_it_stands() -> None:
    """An escaped NUL never reaches the topic."""
    bad = event(event_id=KNOWN_ID)
    bad["properties"]["provider"] = "a\x00b"
    [rejection] = take([bad]).rejected
    assert (rejection.bad.code, rejection.bad.errors[0].field) == ("control_character", "properties.provider")


def test_records_of_a_partition_keep_the_order_of_the_request() -> None:
    """Events of one user stand as they were sent, whatever is between them."""
    events = [event(event_id=numbered_id(n), user_id="u-42" if n % 3 else f"other-{n}") for n in range(300)]
    intake = take(events)
    of_the_user = [json.loads(v)["event_id"] for group in intake.records.values() for k, v in group if k == b"u-42"]
    assert of_the_user == [numbered_id(n) for n in range(300) if n % 3]
    for group in intake.records.values():
        ids = [json.loads(v)["event_id"] for _, v in group]
        assert ids == sorted(ids)


def test_positions_of_accepted_events_are_what_gateways_say_of_themselves() -> None:
    """Whoever could say them could raise a false alarm of lost events; without them accepted_count is an event like all others."""
    said = {"source": "gateway-1", "minute": "2026-11-23T10:00:00Z", "count": 7}
    claims = [
        event(event_id=numbered_id(n), event_type="accepted_count", properties=said | more)
        for n, more in enumerate(({}, {"positions": [1]}))
    ]
    intake = take(claims)
    assert intake.event_ids == [numbered_id(0)]
    ((rejection),) = intake.rejected
    assert (rejection.index, rejection.event_id, rejection.bad.code) == (1, numbered_id(1), "reserved_field")
    assert [error.field for error in rejection.bad.errors] == ["properties.positions"]
