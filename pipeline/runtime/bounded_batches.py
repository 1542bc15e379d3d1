"""Compressed record batches, unpacked within bounds: aiokafka would unpack one of a few kilobytes into gigabytes.

`install()` makes every consumer of the process read through `BoundedRecords`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import cramjam
import lz4.frame
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from backports.zstd import DecompressionParameter, ZstdDecompressor

from schemas.event import UNREAD_BATCH

#: No publisher fills a batch with more: Java's and librdkafka's take 1 MiB of records at most, our gateway 256 KiB.
MAX_BATCH_BYTES: Final = 8 << 20
#: One answer of the broker is read no further than this; the rest is fetched again.
MAX_ANSWER_BYTES: Final = 16 << 20

# Layout of a batch (magic 2): base offset, length of what follows, leader epoch, magic, checksum, attributes, …, number of records.
_OVERHEAD: Final = 12
_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_MAGIC_AT: Final = 16
_ATTRIBUTES: Final = struct.Struct(">h")
_ATTRIBUTES_AT: Final = 21
_HEADER_BYTES: Final = 61
_CODEC_BITS: Final = 0x07
_GZIP_WINDOW_BITS: Final = 31
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES: Final = 16
#: A window larger than a batch may be is memory for nothing.
_ZSTD_OPTIONS: Final[dict[int, int]] = {DecompressionParameter.window_log_max: 23}


class TooLarge(ValueError):
    """It unpacks to more than MAX_BATCH_BYTES."""


class Record(NamedTuple):
    """What aiokafka asks of a record."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: bytes
    key: bytes | None = None
    checksum: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class BoundedRecords:
    """The batches of one answer, as aiokafka's MemoryRecords gives them, but for those that cannot be unpacked within bounds.

    Such a batch is one record at its last offset, whose value is UNREAD_BATCH and the reason.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._unpacked = data, 0, 0

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        return self._unpacked < MAX_ANSWER_BYTES and self._end() <= len(self._data)

    def next_batch(self) -> Any:
        """The next batch, None after the last whole one."""
        end = self._end()
        if end > len(self._data):
            return None
        batch, self._at = self._data[self._at : end], end
        if len(batch) < _HEADER_BYTES and batch[_MAGIC_AT] >= 2:
            raise CorruptRecordException(f"a batch of {len(batch)} bytes")
        attributes = _ATTRIBUTES.unpack_from(batch, _ATTRIBUTES_AT)[0]
        codec = attributes & _CODEC_BITS
        if batch[_MAGIC_AT] < 2 or codec == 0:
            self._unpacked += len(batch)
            return MemoryRecords(batch).next_batch()
        return self._bounded(batch, attributes)

    def _end(self) -> int:
        if len(self._data) - self._at < _HEADER_BYTES:
            return len(self._data) + 1
        return self._at + _OVERHEAD + int(_LENGTH.unpack_from(self._data, self._at + _LENGTH_AT)[0])

    def _bounded(self, batch: bytes, attributes: int) -> Any:
        packed = DefaultRecordBatch(batch)
        try:
            records = _UNPACK[attributes & _CODEC_BITS](batch[_HEADER_BYTES:])
        except Exception as error:  # whatever a codec makes of what anybody may send
            reason = f"offsets {packed.base_offset} to {packed.next_offset - 1}: {_reason(error)}"
            value = UNREAD_BATCH + reason.encode()
            return _Batch(packed, [Record(packed.next_offset - 1, packed.max_timestamp, packed.timestamp_type, value)])
        self._unpacked += len(records)
        return _Batch(packed, DefaultRecordBatch(_plain(batch, attributes, records)))


class _Batch:
    """What a packed batch says of itself, checksum included, with records unpacked elsewhere."""

    def __init__(self, packed: Any, records: Iterable[Any]) -> None:
        self._packed, self._records = packed, records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._packed, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._records)


def install() -> None:
    """Let consumers of this process read through BoundedRecords."""
    fetcher.MemoryRecords = BoundedRecords


def _plain(batch: bytes, attributes: int, records: bytes) -> bytes:
    """The batch as if it had not been compressed; its checksum is no longer right."""
    length = _LENGTH.pack(_HEADER_BYTES - _OVERHEAD + len(records))
    head = batch[:_LENGTH_AT], length, batch[_OVERHEAD:_ATTRIBUTES_AT], _ATTRIBUTES.pack(attributes & ~_CODEC_BITS)
    return b"".join((*head, batch[_ATTRIBUTES_AT + _ATTRIBUTES.size : _HEADER_BYTES], records))


def _reason(error: Exception) -> str:
    if isinstance(error, TooLarge):
        return f"the record batch unpacks to more than {MAX_BATCH_BYTES} bytes"
    return f"the record batch cannot be unpacked ({type(error).__name__})"


def _whole(records: bytes, is_complete: bool) -> bytes:
    if len(records) > MAX_BATCH_BYTES:
        raise TooLarge
    if not is_complete:
        raise CorruptRecordException("the compressed records end before their end")
    return records


def _gunzip(packed: bytes) -> bytes:
    reader = zlib.decompressobj(_GZIP_WINDOW_BITS)
    return _whole(reader.decompress(packed, MAX_BATCH_BYTES + 1), reader.eof)


def _unlz4(packed: bytes) -> bytes:
    reader = lz4.frame.LZ4FrameDecompressor()
    return _whole(reader.decompress(packed, MAX_BATCH_BYTES + 1), reader.eof)


def _unzstd(packed: bytes) -> bytes:
    reader = ZstdDecompressor(options=_ZSTD_OPTIONS)
    return _whole(reader.decompress(packed, MAX_BATCH_BYTES + 1), reader.eof)


def _unsnappy(packed: bytes) -> bytes:
    """Each piece says how long it will be, so that this is known before it is unpacked."""
    pieces = [packed]
    if packed.startswith(_XERIAL):
        pieces, at = [], _XERIAL_HEADER_BYTES
        while at < len(packed):
            size = _LENGTH.unpack_from(packed, at)[0]
            pieces.append(packed[at + 4 : at + 4 + size])
            at += 4 + max(size, 0)
    if sum(map(cramjam.snappy.decompress_raw_len, pieces)) > MAX_BATCH_BYTES:
        raise TooLarge
    return b"".join(bytes(cramjam.snappy.decompress_raw(piece)) for piece in pieces)


_UNPACK: Final[dict[int, Callable[[bytes], bytes]]] = {1: _gunzip, 2: _unsnappy, 3: _unlz4, 4: _unzstd}
