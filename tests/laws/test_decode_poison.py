from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.event import BadEvent, Decoded, decode, decode_one
from tests.poison.mutations import NEARLY, SMUGGLED, TOKENED
from tests.poison.valid_events import EVENTS, PLAIN, VALID

CODES = {
    "empty", "invalid_utf8", "invalid_json", "not_an_object", "unknown_event_type", "unknown_schema_version", "missing_field",
    "invalid_field", "number_out_of_range", "control_character", "too_large", "too_deep",
    "malformed_user_id",
}  # fmt: skip


def at(decoded: Decoded, place: int) -> tuple[Any, ...]:
    return decoded.events[place], decoded.properties[place], decoded.bad.get(place), decoded.source_names.get(place)


def check(values: list[bytes]) -> Decoded:
    """The law: decoded together, each value means what it means alone, and it is an event or it has a reason."""
    together = decode(values)
    assert len(together.events) == len(together.properties) == len(values)
    for place, value in enumerate(values):
        assert at(together, place) == at(decode([value]), 0)
        one, bad = decode_one(value), together.bad.get(place)
        assert one == (bad or (together.events[place], together.properties[place], together.source_names.get(place, ""), None))
        assert (together.events[place] is None) == (bad is not None) == isinstance(one, BadEvent)
        if bad is not None:
            assert bad.code in CODES
            assert 0 < len(bad.reason) <= 500
            assert bad.reason.splitlines() == [bad.reason]
    return together


@given(st.lists(NEARLY | PLAIN, max_size=4) | st.lists(NEARLY | VALID, max_size=4))
def test_what_is_nearly_an_event_means_the_same_alone_and_together(values: list[bytes]) -> None:
    """Cut, spliced and forged values are each an event or a reason, whoever stands beside them."""
    check(values)


@given(st.lists(st.binary(max_size=60), max_size=4), VALID)
def test_random_bytes_have_a_reason_and_harm_nobody(values: list[bytes], good: bytes) -> None:
    """Any bytes at all beside a good event: never an exception, and the event is read."""
    assert check([*values, good]).events[-1] is not None


@given(PLAIN | VALID, NEARLY, PLAIN | VALID)
def test_a_valid_event_is_never_refused_because_of_its_neighbours(before: bytes, poison: bytes, after: bytes) -> None:
    """Good, nearly good, good: both good ones are read, in their places, as they were sent."""
    decoded = check([before, poison, after])
    for place, value in ((0, before), (2, after)):
        event, sent = decoded.events[place], json.loads(value)
        assert event is not None
        assert (event["event_id"], event["event_type"]) == (sent["event_id"], sent["event_type"])
        assert json.loads(decoded.properties[place]) == sent["properties"]


@given(SMUGGLED, st.lists(PLAIN, max_size=2))
def test_values_that_are_events_only_together_trade_places_with_nobody(smuggled: list[bytes], more: list[bytes]) -> None:
    """As many events as values, in wrong places, with the neighbour's own id: only the neighbour is an event."""
    decoded = check([*smuggled, *more])
    assert [event is not None for event in decoded.events] == [False, True, False, False, *[True] * len(more)]


@given(TOKENED, st.sampled_from([b"userId", b"sessionId"]))
def test_the_seeds_spelling_changes_no_verdict(value: bytes, spelling: bytes) -> None:
    """The same value under the seed's name of a field is the same event or likewise none."""
    value = value.replace(b'"user_id"', b'"other_user"').replace(b'"session_id"', b'"other_session"')[:-1]
    more = b', "user_id": "u-1", "session_id": "s-1"}'
    own = decode_one(value + more)
    renamed = decode_one(value + more.replace({b"userId": b"user_id", b"sessionId": b"session_id"}[spelling], spelling))
    assert isinstance(own, BadEvent) == isinstance(renamed, BadEvent)
    assert isinstance(own, BadEvent) or own == renamed


@given(EVENTS)
def test_a_valid_event_is_stored_as_it_was_sent(sent: dict[str, Any]) -> None:
    """Nothing of the envelope or the properties is lost or changed on the way through."""
    decoded = decode([json.dumps(sent, ensure_ascii=False).encode()])
    event = decoded.events[0]
    assert event is not None, decoded.bad[0].reason
    assert json.loads(decoded.properties[0]) == sent["properties"]
    for name in ("event_id", "user_id", "session_id", "flags"):
        assert event.get(name) == sent.get(name)
