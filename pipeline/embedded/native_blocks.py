"""ClickHouse's Native format and its compressed blocks, as far as a server must make or read them itself.

Both layouts are those of the native protocol: variable-length integers, length-prefixed strings. A compressed block is a 16-byte
CityHash128 of what follows, a method byte, two little-endian sizes (with this header, and without compression) and the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import lz4.block
from backports import zstd
from clickhouse_cityhash.cityhash import CityHash128

from pipeline.embedded.engine_errors import EngineError

_HEADER = struct.Struct("<BII")
_CHECKSUM_BYTES = 16
_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02
_MAX_BLOCK_BYTES = 1 << 30
_OUT_BLOCK_BYTES = 1 << 20
_BLOCK_INFO = bytes.fromhex("010002ffffffff00")  # not overflows, bucket -1


def var_uint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def text(value: str) -> bytes:
    """A string with its length before it."""
    data = value.encode()
    return var_uint(len(data)) + data


def empty_block(columns: Iterable[tuple[str, str]]) -> bytes:
    """A Native block of no rows that still names its (name, type) columns."""
    named = list(columns)
    return var_uint(len(named)) + var_uint(0) + b"".join(text(name) + text(type_name) for name, type_name in named)


def hello_block(display_name: str, version: str) -> bytes:
    """What clickhouse-go expects from `SELECT displayName(), version(), revision(), timezone()`.

    It is framed for the client's revision (block info, one byte after each type), and says revision 0, so that the client reads
    every later block as plain Native, which is what the engine writes.
    """
    columns = (
        ("displayName()", "String", text(display_name)),
        ("version()", "String", text(version)),
        ("revision()", "UInt32", struct.pack("<I", 0)),
        ("timezone()", "String", text("UTC")),
    )
    head = _BLOCK_INFO + var_uint(len(columns)) + var_uint(1)
    return head + b"".join(text(name) + text(type_name) + b"\0" + value for name, type_name, value in columns)


def compress(data: bytes) -> Iterator[bytes]:
    """`data` as LZ4 blocks, what a server sends for `compress=1`."""
    for start in range(0, len(data), _OUT_BLOCK_BYTES):
        plain = data[start : start + _OUT_BLOCK_BYTES]
        payload = lz4.block.compress(plain, store_size=False)
        block = _HEADER.pack(_LZ4, _HEADER.size + len(payload), len(plain)) + payload
        yield _checksum(block) + block


class BlockDecompressor:
    """Undoes `decompress=1`: feed it what has arrived, get what is complete."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def decompress(self, data: bytes) -> bytes:
        """Raises EngineError (40, 89 or 271) when a block is damaged."""
        self._waiting += data
        plain = bytearray()
        while (block := self._next_block()) is not None:
            plain += block
        return bytes(plain)

    def finish(self) -> None:
        """Raises EngineError (33) when the last block is not complete."""
        if self._waiting:
            raise EngineError.of(33, "CANNOT_READ_ALL_DATA", "the body ends inside a compressed block")

    def _next_block(self) -> bytes | None:
        start = _CHECKSUM_BYTES + _HEADER.size
        if len(self._waiting) < start:
            return None
        method, size, plain_size = _HEADER.unpack_from(self._waiting, _CHECKSUM_BYTES)
        if not _HEADER.size <= size <= _MAX_BLOCK_BYTES or plain_size > _MAX_BLOCK_BYTES:
            raise EngineError.of(271, "CANNOT_DECOMPRESS", "a compressed block has an impossible size")
        end = _CHECKSUM_BYTES + size
        if len(self._waiting) < end:
            return None
        checksum, block = bytes(self._waiting[:_CHECKSUM_BYTES]), bytes(self._waiting[_CHECKSUM_BYTES:end])
        del self._waiting[:end]
        if _checksum(block) != checksum:
            raise EngineError.of(40, "CHECKSUM_DOESNT_MATCH", "a compressed block does not match its checksum")
        return _plain(method, block[_HEADER.size :], plain_size)


def _plain(method: int, payload: bytes, plain_size: int) -> bytes:
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(payload, uncompressed_size=plain_size))
        if method == _ZSTD:
            return zstd.decompress(payload)
    except (lz4.block.LZ4BlockError, zstd.ZstdError) as error:
        raise EngineError.of(271, "CANNOT_DECOMPRESS", f"a compressed block cannot be read ({error})") from error
    if method == _NONE:
        return payload
    raise EngineError.of(89, "UNKNOWN_COMPRESSION_METHOD", f"compressed blocks of method {method:#x} are not supported; use LZ4 or ZSTD")


def _checksum(block: bytes) -> bytes:
    number: int = CityHash128(block)
    return struct.pack("<QQ", number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF)
