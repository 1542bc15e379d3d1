"""From a request's body to the bytes of its JSON: what it is, how long it may take, how large it may get."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final, Protocol

from aiohttp import ClientError
from aiohttp.http_exceptions import PayloadEncodingError
from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from pipeline.gateway import limits
from pipeline.gateway.admission import Reading
from pipeline.runtime.errors import Reject

_JSON_TYPES: Final = frozenset({"", "application/json", "text/plain", "text/json"})
_NDJSON_TYPES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_GZIP: Final = "gzip"
_ZSTD: Final = "zstd"
_ENCODINGS: Final = {"": "", "identity": "", "gzip": _GZIP, "x-gzip": _GZIP, "zstd": _ZSTD}
_MAGIC: Final = {b"\x1f\x8b": _GZIP, b"\x28\xb5": _ZSTD}

#: RFC 9659: a zstd body may ask its reader for a window of 8 MiB, not more.
_ZSTD_OPTIONS: Final[dict[int, int]] = {DecompressionParameter.window_log_max: 23}
_GZIP_WINDOW_BITS: Final = 31


class Stream(Protocol):
    """The part of aiohttp's StreamReader that is used."""

    async def readany(self) -> bytes: ...


def is_ndjson(content_type: str, charset: str | None) -> bool:
    """Whether every line is a value of its own; False leaves that to the content. Raises Reject for what is not JSON."""
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Reject("unsupported_charset", "JSON is UTF-8")
    if content_type in _NDJSON_TYPES:
        return True
    if content_type not in _JSON_TYPES:
        raise Reject("unsupported_content_type", "send Content-Type: application/json, application/x-ndjson or text/plain")
    return False


def encoding_of(content_encoding: str) -> str:
    """ "gzip", "zstd" or "" from the header; raises Reject for others and for two at once."""
    encoding = _ENCODINGS.get(content_encoding.strip().lower())
    if encoding is None:
        raise Reject("unsupported_encoding", "Content-Encoding may be gzip or zstd, once")
    return encoding


async def read_body(stream: Stream, declared_bytes: int | None, encoding: str, reading: Reading) -> bytes:
    """All bytes as they were sent. Raises Reject when they are too many or too slow, RetryAfter when all bodies together are."""
    limit = limits.MAX_COMPRESSED_BYTES if encoding else limits.MAX_BODY_BYTES
    if declared_bytes is not None and declared_bytes > limit:
        raise _too_large(limit)
    parts = []
    try:
        async with asyncio.timeout(limits.BODY_TIMEOUT_S) as reading.deadline:
            while part := await stream.readany():
                reading.add(len(part))
                if reading.size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except (ConnectionError, ClientError, PayloadEncodingError) as error:
        raise Reject("broken_body", f"the body ends before its end ({type(error).__name__})") from None
    except TimeoutError:
        raise Reject("body_timeout", f"the body did not arrive within {limits.BODY_TIMEOUT_S:.0f} s, or others needed the room") from None
    return b"".join(parts)


def decompress(body: bytes, encoding: str) -> bytes:
    """The JSON inside; compression is also seen by its first bytes. Raises Reject for what is damaged, packed twice or grows too much."""
    encoding = encoding or _MAGIC.get(body[:2], "")
    if not encoding:
        return body
    if len(body) > limits.MAX_COMPRESSED_BYTES:
        raise _too_large(limits.MAX_COMPRESSED_BYTES)
    limit = min(limits.MAX_BODY_BYTES, max(limits.FREE_RATIO_BYTES, limits.MAX_RATIO * len(body)))
    try:
        plain, complete, rest = _gunzip(body, limit + 1) if encoding == _GZIP else _unzstd(body, limit + 1)
    except (zlib.error, ZstdError, ValueError) as error:
        raise Reject("invalid_compression", f"the body is not {encoding}: {error}") from None
    if len(plain) > limit:
        raise Reject("body_too_large", f"the body unpacks to more than {limit} bytes")
    if not complete or rest:
        raise Reject("invalid_compression", f"the body is not one complete {encoding} stream")
    if plain[:2] in _MAGIC:
        raise Reject("invalid_compression", "the body is compressed twice")
    return plain


def _gunzip(body: bytes, max_bytes: int) -> tuple[bytes, bool, bytes]:
    reader = zlib.decompressobj(_GZIP_WINDOW_BITS)
    return reader.decompress(body, max_bytes), reader.eof, reader.unused_data


def _unzstd(body: bytes, max_bytes: int) -> tuple[bytes, bool, bytes]:
    reader = ZstdDecompressor(options=_ZSTD_OPTIONS)
    return reader.decompress(body, max_bytes), reader.eof, reader.unused_data


def _too_large(limit: int) -> Reject:
    return Reject("body_too_large", f"a body has at most {limit} bytes; send the events in several requests")
