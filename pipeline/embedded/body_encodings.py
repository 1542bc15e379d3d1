"""Content-Encoding of request and response bodies: gzip, deflate, zstd, lz4, and ClickHouse's own compressed blocks."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import lz4.frame
from backports import zstd

from pipeline.embedded import native_blocks
from pipeline.embedded.engine_errors import EngineError

PIECE_BYTES = 1 << 20


class Decompressor(Protocol):
    def decompress(self, data: bytes) -> bytes: ...

    def finish(self) -> None: ...


class _Frames:
    """A body of one or more frames (or members), one after the other, as clickhouse-connect sends: one for each block."""

    def __init__(self, new_frame: Callable[[], Any], errors: tuple[type[Exception], ...]) -> None:
        self._new_frame, self._errors = new_frame, errors
        self._frame: Any = None

    def decompress(self, data: bytes) -> bytes:
        plain: list[bytes] = []
        try:
            while data:
                self._frame = self._frame or self._new_frame()
                plain.append(self._frame.decompress(data))
                data = b""
                if self._frame.eof:
                    data, self._frame = self._frame.unused_data or b"", None
        except self._errors as error:
            raise EngineError.of(271, "CANNOT_DECOMPRESS", f"the body cannot be decompressed ({error})") from error
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def finish(self) -> None:
        if self._frame is not None:
            raise EngineError.of(33, "CANNOT_READ_ALL_DATA", "the compressed body is cut off")


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": lambda: _Frames(lambda: zlib.decompressobj(31), (zlib.error,)),
    "deflate": lambda: _Frames(zlib.decompressobj, (zlib.error,)),
    "zstd": lambda: _Frames(zstd.ZstdDecompressor, (zstd.ZstdError,)),
    "lz4": lambda: _Frames(lz4.frame.LZ4FrameDecompressor, (RuntimeError,)),
}


def decompressors(content_encoding: str, *, native: bool) -> list[Decompressor]:
    """What undoes a request's encodings, in the order to apply them. Raises EngineError (89) for one that is not known."""
    chain: list[Decompressor] = []
    for name in reversed([part.strip().lower() for part in content_encoding.split(",") if part.strip()]):
        if name == "identity":
            continue
        if name not in _DECOMPRESSORS:
            raise EngineError.of(89, "UNKNOWN_COMPRESSION_METHOD", f"Content-Encoding {name} is not supported; use lz4, zstd or gzip")
        chain.append(_DECOMPRESSORS[name]())
    if native:
        chain.append(native_blocks.BlockDecompressor())
    return chain


async def plain_pieces(chunks: AsyncIterator[bytes], chain: list[Decompressor]) -> AsyncIterator[bytes]:
    """The decompressed body in pieces of about a MiB. Raises EngineError when it is damaged or cut off."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        data = chunk
        for step in chain:
            data = step.decompress(data)
        pieces.append(data)
        size += len(data)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    for step in chain:
        step.finish()
    if size:
        yield b"".join(pieces)


class Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _Lz4Frame:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        head = b"" if self._begun else self._frame.begin()
        self._begun = True
        return bytes(head + self._frame.compress(data))

    def flush(self) -> bytes:
        return bytes(self._frame.flush()) if self._begun else self.compress(b"") + bytes(self._frame.flush())


class _NativeBlocks:
    def compress(self, data: bytes) -> bytes:
        return b"".join(native_blocks.compress(data))

    def flush(self) -> bytes:
        return b""


class _Identity:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "lz4": _Lz4Frame,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(3, zlib.DEFLATED, 31),
}


def response_compressor(accept_encoding: str, *, enabled: bool, native: bool) -> tuple[Compressor, str | None]:
    """What to send a result through, and its Content-Encoding; None for plain bytes and for ClickHouse's own blocks."""
    if native:
        return _NativeBlocks(), None
    accepted = {part.partition(";")[0].strip().lower() for part in accept_encoding.split(",")}
    for name in _preferred(accepted) if enabled else ():
        return _COMPRESSORS[name](), name
    return _Identity(), None


def _preferred(accepted: set[str]) -> Iterator[str]:
    return (name for name in _COMPRESSORS if name in accepted)
