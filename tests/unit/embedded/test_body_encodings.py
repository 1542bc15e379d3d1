from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import lz4.frame
import pytest
from backports import zstd

from pipeline.embedded.body_encodings import PIECE_BYTES, decompressors, plain_pieces, response_compressor
from pipeline.embedded.engine_errors import EngineError

PARTS = [b"first " * 1000, b"", b"second " * 2000, b"third"]
PLAIN = b"".join(PARTS)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}


async def arriving(body: bytes, step: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), step):
        yield body[start : start + step]


async def read(body: bytes, encoding: str, step: int = 700) -> bytes:
    return b"".join([piece async for piece in plain_pieces(arriving(body, step), decompressors(encoding, native=False))])


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd"])
@pytest.mark.parametrize("step", [1, 37, 700, 1 << 20])
async def test_several_frames(encoding: str, step: int) -> None:
    """Frames one after the other are all read, however they arrive."""
    assert await read(b"".join(COMPRESS[encoding](part) for part in PARTS), encoding, step) == PLAIN


async def test_deflate_identity_and_chains() -> None:
    """Encodings are undone in the reverse order of the header."""
    assert await read(zlib.compress(PLAIN), "deflate") == PLAIN
    assert await read(PLAIN, "identity") == PLAIN
    assert await read(PLAIN, "") == PLAIN
    assert await read(gzip.compress(lz4.frame.compress(PLAIN)), "lz4, GZIP") == PLAIN


@pytest.mark.parametrize("encoding", list(COMPRESS))
async def test_cut_off_or_damaged(encoding: str) -> None:
    """A body that ends too early, or is not what it says, is an error."""
    body = COMPRESS[encoding](PLAIN)
    with pytest.raises(EngineError, match="cut off") as raised:
        await read(body[:-3], encoding)
    assert raised.value.number == 33
    with pytest.raises(EngineError) as raised:
        await read(b"nonsense" * 10, encoding)
    assert raised.value.number == 271


def test_unknown_encoding() -> None:
    """It is refused before anything is read."""
    with pytest.raises(EngineError) as raised:
        decompressors("gzip, snappy", native=False)
    assert raised.value.number == 89


async def test_pieces_are_about_a_mib() -> None:
    """Small chunks are gathered, so that the engine is not called for each."""
    pieces = [piece async for piece in plain_pieces(arriving(bytes(5 * PIECE_BYTES), 10_000), [])]
    assert sum(map(len, pieces)) == 5 * PIECE_BYTES
    assert len(pieces) == 5


@pytest.mark.parametrize(
    ("accepted", "enabled", "expected"),
    [
        ("gzip, deflate", True, "gzip"),
        ("lz4;q=1, gzip", True, "lz4"),
        ("GZIP", True, "gzip"),
        ("br", True, None),
        ("", True, None),
        ("gzip", False, None),
    ],
)
def test_response_encoding(accepted: str, enabled: bool, expected: str | None) -> None:
    """The client's list decides, unless compression is off."""
    compressor, name = response_compressor(accepted, enabled=enabled, native=False)
    body = compressor.compress(PLAIN) + compressor.compress(b"!") + compressor.flush()
    decompress = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}
    assert name == expected
    assert (decompress[name](body) if name else body) == PLAIN + b"!"


@pytest.mark.parametrize("name", ["gzip", "lz4", "zstd"])
def test_empty_response(name: str) -> None:
    """Nothing, compressed, is a whole frame."""
    compressor, _ = response_compressor(name, enabled=True, native=False)
    body = compressor.flush()
    assert {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}[name](body) == b""
