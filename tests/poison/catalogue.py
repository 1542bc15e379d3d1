"""The poison list as data: what stands where an event should, and what is said about it by Kafka and over HTTP.

Expected codes and answers are written down here by hand, from the contract; nothing is computed by the code they test.
"""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

from backports.zstd import compress as zstd_compress

MIB: Final = 1 << 20
_MARK: Final = "@mark@"

#: What the gateway says of one poison: status and, unless that is 202, the error code.
Answer = tuple[int, str]
REJECTED: Final[Answer] = (202, "")
UNREADABLE: Final[Answer] = (400, "invalid_json")
TOO_MANY: Final[Answer] = (413, "too_many_values")


@dataclass(frozen=True, slots=True)
class Poison:
    """One row of the list.

    `error_code` is the dead letter's, "" where the value is an event after all. `alone` is the answer to the value as a body, `line`
    to the value as a line between two good ones; both are None where the value has another meaning there (a tombstone, an empty line).
    """

    name: str
    value: bytes | None
    error_code: str
    alone: Answer | None
    line: Answer | None = REJECTED
    #: Accepted over HTTP: the value is an event there, too.
    is_event_over_http: bool = False


def document(service: str, **fields: Any) -> dict[str, Any]:
    """A valid menu_generated event with an id of its own; `fields` replace its own."""
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": service, "environment": "test"},
        "properties": {"recipe_count": 1, "restrictions": [], "generation_time_ms": 100.0, "outcome": "full", "provider": service},
        **fields,
    }


def poison_list(service: str) -> list[Poison]:
    """Every row; those that are events come from `service`."""
    return [*_no_json(service), *_numbers_and_texts(service), *_no_events(service), *_large(service), *_deep(service)]


def _with(service: str, token: bytes) -> bytes:
    """An event with `token` as the value of a property of no meaning."""
    event = document(service)
    event["properties"]["extra"] = _MARK
    return json.dumps(event).encode().replace(json.dumps(_MARK).encode(), token)


def _json(service: str, **fields: Any) -> bytes:
    return json.dumps(document(service, **fields)).encode()


def _no_json(service: str) -> list[Poison]:
    event = _json(service)
    left, right = _with(service, b'["@"]').split(b'"@"')
    return [
        Poison("tombstone", None, "empty", None, None),
        Poison("empty", b"", "empty", (400, "empty_body"), None),
        Poison("whitespace", b" \t ", "empty", (400, "empty_body"), None),
        Poison("invalid UTF-8", b'{"event_type":"\xff\xfe"}', "invalid_utf8", UNREADABLE),
        Poison("UTF-8 of a surrogate", _with(service, b'"\xed\xa0\x80"'), "invalid_utf8", UNREADABLE),
        Poison("UTF-16", event.decode().encode("utf-16"), "invalid_utf8", UNREADABLE),
        Poison("broken JSON", b'{"event_type":', "invalid_json", UNREADABLE),
        Poison("cut in the middle", event[: len(event) // 2], "invalid_json", UNREADABLE),
        Poison("trailing comma", event[:-1] + b",}", "invalid_json", UNREADABLE),
        Poison("two events in one value", event + b"," + _json(service), "invalid_json", UNREADABLE),
        Poison("the first half of an event", left + b"{}", "invalid_json", UNREADABLE),
        Poison("the second half of an event", b"{}" + right, "invalid_json", UNREADABLE),
        Poison("NUL", b"\x00", "invalid_json", UNREADABLE),
        Poison("raw NUL in a string", _with(service, b'"a\x00b"'), "invalid_json", UNREADABLE),
        Poison("NaN", _with(service, b"NaN"), "invalid_json", UNREADABLE),
        Poison("Infinity", _with(service, b"-Infinity"), "invalid_json", UNREADABLE),
        Poison("lone surrogate", _with(service, b'"\\ud800"'), "invalid_json", UNREADABLE),
        Poison("10,000 digits", _with(service, b"9" * 10_000), "invalid_json", UNREADABLE),
        Poison("900,000 digits", _with(service, b"9" * 900_000), "invalid_json", UNREADABLE),
        Poison("gzip of an event", gzip.compress(event), "invalid_utf8", None, None),
        Poison("gzip bomb, 1 MiB to 1 GiB", gzip.compress(bytes(1_000 * MIB), 9)[:MIB], "invalid_utf8", (413, "body_too_large"), None),
        Poison("zstd bomb, 1 GiB", zstd_compress(bytes(1_000 * MIB)), "invalid_utf8", (413, "body_too_large"), None),
    ]


def _numbers_and_texts(service: str) -> list[Poison]:
    event = _json(service)
    twice = b'{"user_id":"u-0",' + _json(service, user_id="u-1")[1:]
    return [
        Poison("2**64", _with(service, str(2**64).encode()), "number_out_of_range", REJECTED),
        Poison("2**70", _with(service, str(2**70).encode()), "number_out_of_range", REJECTED),
        Poison(
            "2**70 under the seed's names", _with(service, str(2**70).encode())[:-1] + b',"userId":"u"}', "number_out_of_range", REJECTED
        ),
        Poison("1e400", _with(service, b"1e400"), "number_out_of_range", REJECTED),
        Poison("1e400 as a duration", event.replace(b"100.0", b"1e400"), "invalid_field", REJECTED),
        Poison("escaped NUL", _with(service, b'"a\\u0000b"'), "control_character", REJECTED),
        Poison("raw DEL", _with(service, b'"\x7f"'), "control_character", REJECTED),
        Poison("year 9999", event.replace(b"2026-", b"9999-"), "invalid_field", REJECTED),
        Poison("year 0001", event.replace(b"2026-", b"0001-"), "invalid_field", REJECTED),
        Poison("year 10000", event.replace(b"2026-", b"10000-"), "invalid_field", REJECTED),
        Poison("no time zone", event.replace(b".123Z", b".123"), "invalid_field", REJECTED),
        Poison("a time that is a number", _json(service, occurred_at=1e308), "invalid_field", REJECTED),
        Poison("a key twice", twice, "", REJECTED, is_event_over_http=True),
        Poison("byte order mark", b"\xef\xbb\xbf" + event, "invalid_json", REJECTED, None, is_event_over_http=True),
    ]


def _no_events(service: str) -> list[Poison]:
    return [
        Poison("a number", b"42", "not_an_object", UNREADABLE),
        Poison("a string", b'"text"', "not_an_object", UNREADABLE),
        Poison("null", b"null", "not_an_object", UNREADABLE),
        Poison("an array of nothing", b"[[]]", "not_an_object", REJECTED),
        Poison("an object of nothing", b"{}", "unknown_event_type", REJECTED),
        Poison("unknown type", _json(service, event_type="no_such_type"), "unknown_event_type", REJECTED),
        Poison("a type that is no text", _json(service, event_type=["menu_generated"]), "unknown_event_type", REJECTED),
        Poison("unknown version", _json(service, schema_version=2), "unknown_schema_version", REJECTED),
        Poison("missing fields", _json(service, properties={}), "missing_field", REJECTED),
        Poison("properties that are no object", _json(service, properties=[1]), "invalid_field", REJECTED),
        Poison("an id that is no UUID", _json(service, event_id="1' OR '1'='1"), "invalid_field", REJECTED),
        Poison("an id that is an object", _json(service, event_id={"a": 1}), "invalid_field", REJECTED),
        Poison("a user who is nobody", _json(service, user_id=" Undefined "), "malformed_user_id", REJECTED),
        Poison("sent at no time", _json(service, sent_at="soon"), "invalid_field", REJECTED),
        Poison("escapes for a terminal", _json(service, event_id="\x1b[2J\r\n", event_type="\x1b]0;x\x07"), "unknown_event_type", REJECTED),
    ]


def _large(service: str) -> list[Poison]:
    properties = document(service)["properties"]
    accepted = {"text": "x" * 1_000_000}, {"k" * 1_000_000: 1}, {f"k{number}": number for number in range(50_000)}
    values = [_json(service, properties=properties | more) for more in accepted]
    flags = {f"{number:x}": 1 for number in range(80_000)}
    lists = _with(service, b"[" + b",".join([b"[]"] * 200_000) + b"]")
    restrictions = properties | {"restrictions": [1] * 180_000}
    return [
        Poison("user_id of 1 MB", _json(service, user_id="u" * 1_000_000), "invalid_field", REJECTED),
        Poison("event_type of 1 MB", _json(service, event_type="e" * 1_000_000), "unknown_event_type", REJECTED),
        Poison("string of 1 MB", values[0], "", REJECTED, is_event_over_http=True),
        Poison("name of 1 MB", values[1], "", REJECTED, is_event_over_http=True),
        Poison("50,000 properties", values[2], "", REJECTED, is_event_over_http=True),
        Poison("80,000 fields", _json(service, **{f"{n:x}": 1 for n in range(80_000)}), "", REJECTED, is_event_over_http=True),
        Poison("80,000 bad flags", _json(service, flags=flags), "invalid_field", REJECTED),
        Poison("180,000 bad reasons", _json(service, bot_reasons=[1] * 180_000), "invalid_field", REJECTED, is_event_over_http=True),
        Poison("180,000 bad restrictions", _json(service, properties=restrictions), "invalid_field", REJECTED),
        Poison("200,000 empty lists", lists, "", TOO_MANY, TOO_MANY),
        Poison("120,000 times false", _with(service, json.dumps([False] * 120_000).encode()), "", REJECTED, is_event_over_http=True),
    ]


def _deep(service: str) -> list[Poison]:
    rows = []
    for depth, error_code in ((30, ""), (198, ""), (199, "invalid_json"), (300, "invalid_json"), (1_000, "invalid_json")):
        for kind, opening, closing in (("lists", b"[", b"]"), ("objects", b'{"a":', b"}")):
            value = _with(service, opening * depth + b"1" + closing * depth)
            alone = UNREADABLE if error_code else REJECTED
            rows.append(Poison(f"{depth} {kind} deep in properties", value, error_code, alone, is_event_over_http=depth == 30))
    objects = _with(service, b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    return [
        *rows,
        Poison("100,000 lists deep", b"[" * 100_000, "invalid_json", TOO_MANY, TOO_MANY),
        Poison("100,000 objects deep in properties", objects, "invalid_json", TOO_MANY, TOO_MANY),
    ]
