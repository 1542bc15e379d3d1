from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

from backports.zstd import compress as zstd_compress
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gateway.body import decompress
from pipeline.gateway.intake import Intake, read_events
from pipeline.runtime.errors import Reject
from schemas.user_ids import is_no_user_id
from tests.unit.gateway.bodies import event, json_bytes, numbered_ids

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6)
IDS = st.uuids().map(str)
EVENTS = st.builds(
    lambda event_id, user_id, extra: event(event_id=event_id, user_id=user_id, properties=event()["properties"] | {"extra": extra}),
    IDS,
    st.none() | TEXT.filter(lambda text: not is_no_user_id(text)),
    VALUES,
)


def take(body: bytes, ndjson: bool = False) -> Intake:
    return read_events(body, ndjson=ndjson, new_id=numbered_ids().__next__)


@given(st.lists(EVENTS, min_size=1, max_size=8))
def test_every_form_of_a_body_gives_the_same_records(events: list[dict[str, Any]]) -> None:
    """Array, lines, gzip and zstd, escaped or not: one meaning, and every value is the event that was sent."""
    array = take(json_bytes(events))
    lines = b"\n".join(json.dumps(document, ensure_ascii=False).encode() for document in events)
    assert take(lines, ndjson=True) == take(lines) == array
    assert take(decompress(gzip.compress(lines), "gzip"), ndjson=True) == take(decompress(zstd_compress(lines), "zstd")) == array
    assert array.rejected == []
    sent = {document["event_id"]: document for document in events}
    assert {e["event_id"]: e for group in array.records.values() for e in (json.loads(v) for _, v in group)} == sent


@given(st.binary(max_size=200) | TEXT.map(str.encode) | VALUES.map(json_bytes), st.booleans())
def test_no_body_makes_it_fail(body: bytes, ndjson: bool) -> None:
    """Any bytes are read or refused with a code, and what is taken has an id that is one."""
    try:
        intake = take(decompress(body, ""), ndjson)
    except Reject:
        return
    assert all(str(uuid.UUID(event_id)) == event_id for event_id in intake.event_ids)


@given(st.lists(EVENTS | VALUES, max_size=8))
def test_every_element_is_taken_or_refused_once(elements: list[Any]) -> None:
    """Accepted and rejected together are the request, and the rejected ones stand where they stood."""
    intake = take(json_bytes(elements))
    valid = [i for i, element in enumerate(elements) if isinstance(element, dict) and element.get("event_type") == "menu_generated"]
    assert intake.size == len(elements)
    assert [r.index for r in intake.rejected] == [i for i in range(len(elements)) if i not in valid]
    assert intake.event_ids == [elements[i]["event_id"] for i in valid]
