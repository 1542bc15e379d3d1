"""Poison that is not the event but the request: encodings, lengths and numbers of lines, and what is answered to each."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from backports.zstd import CompressionParameter, ZstdCompressor
from backports.zstd import compress as zstd_compress

from tests.poison.catalogue import MIB, Answer, document

#: The bytes of a body, or what makes its parts; parts are sent chunked, without Content-Length.
Body = bytes | Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class PoisonRequest:
    """One request. `accepted` and `rejected` are what a 202 counts."""

    name: str
    body: Body
    answer: Answer
    headers: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    rejected: int = 0


def poison_requests() -> list[PoisonRequest]:
    """Every row; events in them are valid ones with ids of their own."""
    return [*_encodings(), *_types(), *_sizes(), *_lines()]


def _event() -> bytes:
    return json.dumps(document("requests")).encode()


@cache
def _ten_megabytes_of_gzip() -> bytes:
    """10 MiB that unpack to 10 GiB: as many copies of one compressed piece as it takes, which is a gzip file, too."""
    piece = gzip.compress(bytes(10 * MIB), 9)
    return piece * (10 * MIB // len(piece) + 1)


async def _without_end(part: bytes = b" " * 65_536) -> AsyncIterator[bytes]:
    while True:
        yield part


async def _zeros_in_zstd_without_end() -> AsyncIterator[bytes]:
    compressor = ZstdCompressor()
    yield compressor.compress(bytes(MIB), ZstdCompressor.FLUSH_BLOCK)
    blocks = compressor.compress(bytes(MIB), ZstdCompressor.FLUSH_BLOCK) * 1_000
    while True:
        yield blocks


def _large_window() -> bytes:
    compressor = ZstdCompressor(options={CompressionParameter.window_log: 27})
    return compressor.compress(_event()) + compressor.flush()


def _encodings() -> list[PoisonRequest]:
    event = _event()
    packed, damaged, unknown = gzip.compress(event), (400, "invalid_compression"), (415, "unsupported_encoding")
    is_gzip, is_zstd = {"Content-Encoding": "gzip"}, {"Content-Encoding": "zstd"}
    too_large: Final = (413, "body_too_large")
    return [
        PoisonRequest("says gzip, is not", event, damaged, is_gzip),
        PoisonRequest("says zstd, is gzip", packed, damaged, is_zstd),
        PoisonRequest("says gzip, is zstd", zstd_compress(event), damaged, is_gzip),
        PoisonRequest("says gzip, is zlib", zlib.compress(event), damaged, is_gzip),
        PoisonRequest("says nothing, is gzip", packed, (202, ""), accepted=1),
        PoisonRequest("says brotli", event, unknown, {"Content-Encoding": "br"}),
        PoisonRequest("says gzip twice", gzip.compress(packed), unknown, {"Content-Encoding": "gzip, gzip"}),
        PoisonRequest("says rubbish", event, unknown, {"Content-Encoding": "x" * 1_000}),
        PoisonRequest("gzip in gzip", gzip.compress(packed), damaged, is_gzip),
        PoisonRequest("zstd in gzip", gzip.compress(zstd_compress(event)), damaged, is_gzip),
        PoisonRequest("gzip cut", packed[:-9], damaged, is_gzip),
        PoisonRequest("zstd cut", zstd_compress(event)[:-5], damaged, is_zstd),
        PoisonRequest("gzip with a wrong checksum", packed[:-8] + bytes(8), damaged, is_gzip),
        PoisonRequest("gzip and more", packed + b"x", damaged, is_gzip),
        PoisonRequest("zstd with a window of 128 MiB", _large_window(), damaged, is_zstd),
        PoisonRequest("gzip bomb, 10 MiB to 10 GiB", _ten_megabytes_of_gzip(), too_large, is_gzip),
        PoisonRequest("gzip bomb, 1 MiB to 1 GiB", _ten_megabytes_of_gzip()[: MIB - 1], too_large, is_gzip),
        PoisonRequest("gzip bomb in gzip", gzip.compress(_ten_megabytes_of_gzip()[: MIB // 2]), damaged, is_gzip),
        PoisonRequest("gzip bomb without its header", _ten_megabytes_of_gzip()[: MIB - 1], too_large),
        PoisonRequest("zstd bomb, 1 GiB", zstd_compress(bytes(1_000 * MIB)), too_large, is_zstd),
        PoisonRequest("zstd bomb without an end", _zeros_in_zstd_without_end, too_large, is_zstd),
    ]


def _types() -> list[PoisonRequest]:
    event = _event()
    other_type, other_charset = (415, "unsupported_content_type"), (415, "unsupported_charset")
    return [
        PoisonRequest("UTF-16", event.decode().encode("utf-16"), other_charset, {"Content-Type": "application/json; charset=utf-16"}),
        PoisonRequest("a charset that is none", event, other_charset, {"Content-Type": 'application/json; charset="\\"; x'}),
        PoisonRequest("a form", b"a=1", other_type, {"Content-Type": "application/x-www-form-urlencoded"}),
        PoisonRequest("XML", b"<a/>", other_type, {"Content-Type": "application/xml"}),
        PoisonRequest("a type that is none", event, other_type, {"Content-Type": "rubbish"}),
    ]


def _sizes() -> list[PoisonRequest]:
    too_large = (413, "body_too_large")
    ten_megabytes = json.dumps(document("requests", user_id="x" * 10_000_000)).encode()
    return [
        PoisonRequest("10 MB value", ten_megabytes, too_large),
        PoisonRequest("10 MB value, compressed", gzip.compress(ten_megabytes), too_large, {"Content-Encoding": "gzip"}),
        PoisonRequest("a body without an end", _without_end, too_large),
        PoisonRequest("an array without an end", lambda: _without_end(b"[" * 65_536), too_large),
        PoisonRequest("4 MiB of brackets", b"[" * (4 * MIB), (413, "too_many_values")),
        PoisonRequest("2,000,000 numbers", b"[" + b"1," * 2_000_000 + b"1]", (413, "too_many_values")),
        PoisonRequest("1,000,000 texts", b"[" + b'"a",' * 1_000_000 + b"1]", (413, "too_many_values")),
        PoisonRequest("250,000 keys", _keys(250_000), (413, "too_many_values")),
        PoisonRequest("200,000 keys", _keys(200_000), (202, ""), rejected=1),
        PoisonRequest("1,000 events with 100 errors each", _many_errors(), (202, ""), rejected=1_000),
    ]


def _keys(number: int) -> bytes:
    return b"{" + b",".join(b'"%010x":1' % key for key in range(number)) + b"}"


def _many_errors() -> bytes:
    restrictions = {"recipe_count": "x", "restrictions": [1] * 100, "generation_time_ms": "x", "outcome": "x"}
    return json.dumps([document("requests", properties=restrictions) for _ in range(1_000)]).encode()


def _lines() -> list[PoisonRequest]:
    ndjson, event = {"Content-Type": "application/x-ndjson"}, _event()
    three_megabytes = json.dumps(document("requests", user_id="x" * 3_000_000)).encode()
    six = json.dumps(document("requests", user_id="x" * 5_000_000)).encode()
    too_many = (413, "too_many_values")
    return [
        PoisonRequest("1,000,000 lines of an object", b"{}\n" * 1_000_000, too_many, ndjson),
        PoisonRequest("1,000,000 lines of a digit", b"1\n" * 1_000_000, too_many, ndjson),
        PoisonRequest("4,000,000 empty lines", b"\n" * 4_000_000, (400, "empty_body"), ndjson),
        PoisonRequest("60,000 lines of an object", b"{}\n" * 60_000, (413, "too_many_events"), ndjson),
        PoisonRequest("1,000 lines of an object", b"{}\n" * 1_000, (202, ""), ndjson, rejected=1_000),
        PoisonRequest("a line of 5 MB between good ones", b"\n".join([event, six, _event()]), (413, "body_too_large"), ndjson),
        PoisonRequest("a line of 3 MB between good ones", b"\n".join([event, three_megabytes, _event()]), (202, ""), ndjson, 2, 1),
    ]
