"""Hypothesis strategies for bytes that are nearly events: cut, spliced, repeated, with numbers and strings that no one should send."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

from tests.poison.valid_events import PLAIN, PLAIN_EVENTS

#: Pieces of bytes that parsers disagree about.
TOKENS: Final = [
    *[b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1E0309", b"-0", b"-0.0", b"1e-400", b"01", b"1.", b".5", b"+1", b"0x1"],
    *[b"9" * 400, b"9" * 400 + b".0", b"9" * 5_000],
    *[str(number).encode() for number in (2**63, 2**64, 2**70, -(2**63) - 1)],
    *[
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\x00"',
        b'"\x1f"',
        b'"\x7f"',
        b'"\xc2\x85"',
        b'"\\x"',
        b'"\\/"',
    ],
    *[b'"\xff"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc0\x80"', b'"\xef\xbf\xbf"', b"null", b"true", b'""', b"{}", b"[]"],
    *[b"[" * depth + b"]" * depth for depth in (197, 198, 199, 900)],
    *[b'{"a":' * depth + b"1" + b"}" * depth for depth in (197, 198, 199, 300)],
    *[b'"9999-12-31T23:59:59Z"', b'"2026-11-23"', b'"2026-11-23T10:00:00"', b"1795428000", b"1795428000000.5"],
    b'{"event_type":"recipe_view"}',
]
_PIECES: Final = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b'"',
    b"\\",
    b" ",
    b"\n",
    b"\x0b",
    b"\x0c",
    b"\xa0",
    b"\xef\xbb\xbf",
    b"\x00",
    b"/**/",
]
_MARK: Final = "@mark@"


def _splice(value: bytes, at: float, until: float, piece: bytes) -> bytes:
    low, high = sorted((int(at * len(value)), int(until * len(value))))
    return value[:low] + piece + value[high:]


_UNIT: Final = st.floats(0, 1)
_PIECE: Final = st.sampled_from(TOKENS + _PIECES) | st.binary(max_size=4)
SPLICED: Final = st.builds(_splice, PLAIN, _UNIT, _UNIT, _PIECE)
INSERTED: Final = st.builds(lambda value, at, piece: _splice(value, at, at, piece), PLAIN, _UNIT, _PIECE)
AROUND: Final = st.builds(lambda before, value, after: before + value + after, _PIECE, PLAIN, _PIECE)


def _with_token(event: dict[str, Any], where: str, token: bytes) -> bytes:
    """The event with `token` in place of one of its values, its properties' or as a property of no meaning."""
    document = json.loads(json.dumps(event))
    if where == "extra":
        document["properties"]["x-extra"] = _MARK
    elif where in document:
        document[where] = _MARK
    else:
        document["properties"] |= {where: _MARK}
    return json.dumps(document).encode().replace(json.dumps(_MARK).encode(), token)


_PLACES: Final = [
    "extra", "newer_field", "event_id", "event_type", "occurred_at", "user_id", "properties", "flags", "trace", "source", "schema_version",
    "userId", "success", "timeSpent", "value", "duration_ms", "recipe_count",
]  # fmt: skip
TOKENED: Final = st.builds(_with_token, PLAIN_EVENTS, st.sampled_from(_PLACES), st.sampled_from(TOKENS))


def _twice(event: dict[str, Any], name: str, other: Any) -> bytes:
    """The event with one field given twice."""
    text = json.dumps(event)
    return ("{" + json.dumps(name) + ":" + json.dumps(other) + "," + text[1:]).encode()


REPEATED_KEY: Final = st.builds(
    _twice,
    PLAIN_EVENTS,
    st.sampled_from(["event_id", "event_type", "user_id", "properties", "source", "schema_version"]),
    st.sampled_from(["x", 2, None, {}, "00000000-0000-7000-8000-000000000001", "menu_generated", "recipe_view"]),
)
#: One value that is nearly an event; its other bytes are plain, so that chunks of them are read in one call.
NEARLY: Final = SPLICED | INSERTED | AROUND | TOKENED | REPEATED_KEY


def _halves(event: dict[str, Any], container: str, also: str) -> tuple[bytes, bytes]:
    """Two values that begin and end like objects and together, joined by a comma, are an event."""
    document = {**event, "properties": {"also": also, **event["properties"], "x-cut": [_MARK]}}
    left, right = json.dumps(document).split(json.dumps(_MARK))
    if container == "list":
        return (left + "{}").encode(), ("{}" + right).encode()
    return (left + '"}').encode(), ('{"' + right).encode()


def _smuggled(
    first: dict[str, Any], second: dict[str, Any], neighbour: dict[str, Any], cut: dict[str, Any], container: str, steals_id: bool
) -> list[bytes]:
    """Two events in one value, a good neighbour, and one event in two values: as many events as values, and all in wrong places."""
    if steals_id:
        second = {**second, "event_id": neighbour["event_id"]}
    left, right = _halves(cut, container, str(neighbour["event_id"]))
    two = json.dumps(first) + "," + json.dumps(second)
    right = right[:-1] + b',"x-id":' + json.dumps(cut["event_id"]).encode() + b"}"
    return [two.encode(), json.dumps(neighbour).encode(), left, right]


SMUGGLED: Final = st.builds(
    _smuggled, PLAIN_EVENTS, PLAIN_EVENTS, PLAIN_EVENTS, PLAIN_EVENTS, st.sampled_from(["list", "string"]), st.booleans()
)
