from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from functools import partial

import pytest
from backports.zstd import CompressionParameter, ZstdCompressor
from backports.zstd import compress as zstd_compress

from pipeline.gateway import limits
from pipeline.gateway.admission import BodyAdmission
from pipeline.gateway.body import decompress, encoding_of, is_ndjson, read_body
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.errors import Reject

#: Without the time, which would be part of the tests' names and differ between the processes that run them.
gzipped = partial(gzip.compress, mtime=0)

JSON = b'[{"event_type":"menu_generated"}]'


def refused(body: bytes, encoding: str = "") -> str:
    with pytest.raises(Reject) as reject:
        decompress(body, encoding)
    return reject.value.code


@pytest.mark.parametrize("body", [gzipped(JSON), zstd_compress(JSON), JSON])
def test_compression_is_seen_with_or_without_its_header(body: bytes) -> None:
    """A client that forgot Content-Encoding, or a proxy that dropped it, loses nothing."""
    declared = {b"\x1f": "gzip", b"\x28": "zstd"}.get(body[:1], "")
    assert decompress(body, declared) == decompress(body, "") == JSON


def test_a_streaming_zstd_client_that_does_not_say_the_size_is_read() -> None:
    """A frame without content size unpacks like any other."""
    compressor = ZstdCompressor()
    assert decompress(compressor.compress(JSON[:10]) + compressor.compress(JSON[10:]) + compressor.flush(), "zstd") == JSON


@pytest.mark.parametrize("compress", [gzipped, zstd_compress])
def test_a_bomb_is_refused_at_its_bound(compress: object) -> None:
    """A gigabyte of blanks in a megabyte, and a body that unpacks to one byte more than may be."""
    assert callable(compress)
    for size in (limits.MAX_BODY_BYTES + 1, 200 << 20):
        assert refused(compress(b" " * size)) == "body_too_large"


def test_the_ratio_bounds_a_small_body_before_the_size_does() -> None:
    """Two megabytes of blanks in a few kilobytes are refused, two megabytes of less regular text are not."""
    blanks = gzipped(b" " * (2 << 20))
    assert (2 << 20) / len(blanks) > limits.MAX_RATIO
    assert refused(blanks) == "body_too_large"
    text = b"".join(b'{"n":%d},' % n for n in range(200_000))[: 2 << 20]
    assert decompress(gzipped(text), "gzip") == text


def test_many_equal_small_events_are_no_bomb() -> None:
    """A thousand equal events compress far better than the ratio allows, and are taken."""
    body = b"\n".join([b'{"event_type":"recipe_view","properties":{"recipe_id":"r-1"}}'] * 1_000)
    packed = zstd_compress(body)
    assert len(body) / len(packed) > limits.MAX_RATIO
    assert decompress(packed, "zstd") == body


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (b"{}", "zstd"),
        (gzipped(JSON)[:-4], "gzip"),
        (zstd_compress(JSON)[:-4], "zstd"),
        (gzipped(JSON) + b"x", "gzip"),
        (gzipped(JSON) * 2, "gzip"),
        (zstd_compress(JSON) * 2, "zstd"),
        (zlib.compress(JSON), "gzip"),
        (b"\x1f\x8b", ""),
        (gzipped(gzipped(JSON)), "gzip"),
        (gzipped(zstd_compress(JSON)), "gzip"),
        (zstd_compress(gzipped(JSON)), ""),
        (gzipped(JSON)[:-8] + b"\0" * 8, "gzip"),
    ],
)
def test_a_stream_that_is_damaged_cut_followed_or_nested_is_refused(body: bytes, encoding: str) -> None:
    """Exactly one complete stream, once."""
    assert refused(body, encoding) == "invalid_compression"


def test_a_zstd_body_may_not_ask_for_a_large_window() -> None:
    """A window of 128 MiB is memory the reader would have to hold (RFC 9659 allows 8 MiB)."""
    compressor = ZstdCompressor(options={CompressionParameter.window_log: 27})
    assert refused(compressor.compress(JSON) + compressor.flush(), "zstd") == "invalid_compression"


def test_a_compressed_body_is_bounded_also_when_only_its_bytes_tell() -> None:
    """Without the header the bound of compressed bodies holds all the same."""
    assert refused(b"\x1f\x8b" + b"\0" * limits.MAX_COMPRESSED_BYTES) == "body_too_large"


@pytest.mark.parametrize(
    ("header", "encoding"), [("", ""), ("identity", ""), ("gzip", "gzip"), (" GZIP ", "gzip"), ("x-gzip", "gzip"), ("zstd", "zstd")]
)
def test_known_encodings(header: str, encoding: str) -> None:
    """The header is not case-sensitive."""
    assert encoding_of(header) == encoding


@pytest.mark.parametrize("header", ["br", "deflate", "gzip, gzip", "gzip, zstd", "zip"])
def test_other_encodings_are_refused(header: str) -> None:
    """An encoding that is not known, and two on top of each other."""
    with pytest.raises(Reject) as reject:
        encoding_of(header)
    assert reject.value.code == "unsupported_encoding"


@pytest.mark.parametrize(
    ("content_type", "lines"), [("application/json", False), ("text/plain", False), ("", False), ("application/x-ndjson", True)]
)
def test_content_types(content_type: str, lines: bool) -> None:
    """JSON, beacons and requests without a type are looked into; NDJSON says what it is."""
    assert is_ndjson(content_type, None) is lines
    assert is_ndjson(content_type, "UTF-8") is lines


@pytest.mark.parametrize(
    ("content_type", "charset", "code"),
    [
        ("application/x-www-form-urlencoded", None, "unsupported_content_type"),
        ("multipart/form-data", None, "unsupported_content_type"),
        ("application/xml", None, "unsupported_content_type"),
        ("application/json", "latin-1", "unsupported_charset"),
    ],
)
def test_other_content_types_are_refused(content_type: str, charset: str | None, code: str) -> None:
    """Forms and other charsets are not JSON in UTF-8."""
    with pytest.raises(Reject) as reject:
        is_ndjson(content_type, charset)
    assert reject.value.code == code


class Parts:
    """A body that arrives in the given parts, and then ends or stalls."""

    def __init__(self, *parts: bytes, stalls: bool = False) -> None:
        self._parts = self._iterate(parts, stalls)
        self.taken = 0

    async def readany(self) -> bytes:
        return await anext(self._parts, b"")

    async def _iterate(self, parts: tuple[bytes, ...], stalls: bool) -> AsyncIterator[bytes]:
        for part in parts:
            self.taken += 1
            yield part
        if stalls:
            await asyncio.Event().wait()


async def _read(stream: Parts, declared: int | None = None, encoding: str = "") -> bytes:
    with BodyAdmission(SystemClock()).reading() as reading:
        return await read_body(stream, declared, encoding, reading)


async def test_parts_are_joined() -> None:
    """A body in parts is one body."""
    assert await _read(Parts(b"[", b"1", b"]")) == b"[1]"


@pytest.mark.parametrize(("encoding", "limit"), [("", limits.MAX_BODY_BYTES), ("gzip", limits.MAX_COMPRESSED_BYTES)])
async def test_a_body_that_says_it_is_too_large_is_not_read(encoding: str, limit: int) -> None:
    """The declared length alone refuses it."""
    stream = Parts(b"x")
    with pytest.raises(Reject) as reject:
        await _read(stream, limit + 1, encoding)
    assert (reject.value.code, stream.taken) == ("body_too_large", 0)


async def test_a_body_that_does_not_say_its_length_is_read_to_the_limit_only() -> None:
    """Ten times the limit in chunks: reading stops at the first chunk beyond it."""
    chunk = b"x" * (limits.MAX_BODY_BYTES // 4)
    stream = Parts(*[chunk] * 40)
    with pytest.raises(Reject) as reject:
        await _read(stream)
    assert (reject.value.code, stream.taken) == ("body_too_large", 5)


async def test_a_body_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle does not hold its place for ever."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 0.05)
    with pytest.raises(Reject) as reject:
        await _read(Parts(b"[", stalls=True))
    assert reject.value.code == "body_timeout"
