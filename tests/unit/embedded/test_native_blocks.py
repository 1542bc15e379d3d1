from __future__ import annotations

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.native_blocks import BlockDecompressor, compress, empty_block, hello_block, var_uint


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (1 << 35, "808080808001")]
)
def test_var_uint(value: int, expected: str) -> None:
    """Integers are LEB128."""
    assert var_uint(value).hex() == expected


def test_empty_block() -> None:
    """Two columns, no rows, then name and type of each."""
    assert empty_block([("a", "UInt8"), ("bé", "String")]) == b"\x02\x00\x01a\x05UInt8\x03b\xc3\xa9\x06String"


def test_hello_block() -> None:
    """Block info, one row, a zero byte after each type, and a revision of 0."""
    block = hello_block("name", "26.9.2.1")
    assert block.startswith(bytes.fromhex("010002ffffffff00") + b"\x04\x01\x0ddisplayName()\x06String\x00\x04name")
    assert b"\x0arevision()\x06UInt32\x00\x00\x00\x00\x00" in block
    assert block.endswith(b"\x0atimezone()\x06String\x00\x03UTC")


def test_layout_of_a_block() -> None:
    """16 bytes of checksum, 0x82, the size with its header of 9, the plain size, and raw LZ4."""
    plain = b"abc" * 1000
    (block,) = compress(plain)
    assert block[16] == 0x82
    assert int.from_bytes(block[17:21], "little") == len(block) - 16
    assert int.from_bytes(block[21:25], "little") == len(plain)
    assert lz4.block.decompress(block[25:], uncompressed_size=len(plain)) == plain


@given(st.binary(max_size=5_000), st.integers(1, 700))
def test_round_trip(data: bytes, step: int) -> None:
    """Blocks are read back however they are cut up on the way."""
    sent = b"".join(compress(data))
    decompressor = BlockDecompressor()
    assert b"".join(decompressor.decompress(sent[start : start + step]) for start in range(0, len(sent), step)) == data
    decompressor.finish()


def test_large_results_are_cut_into_blocks() -> None:
    """No block holds more than a MiB."""
    assert len(list(compress(bytes(3 << 20)))) == 3


@pytest.mark.parametrize(("position", "code"), [(0, 40), (16, 40), (30, 40), (20, 271)])
def test_damage_is_found(position: int, code: int) -> None:
    """A flipped bit is an error, wherever it is."""
    block = bytearray(next(compress(b"abc" * 1000)))
    block[position] ^= 0x80
    with pytest.raises(EngineError) as raised:
        BlockDecompressor().decompress(bytes(block))
    assert raised.value.number == code


def test_end_inside_a_block() -> None:
    """A body that is cut off is an error too."""
    decompressor = BlockDecompressor()
    assert decompressor.decompress(next(compress(b"abc"))[:-1]) == b""
    with pytest.raises(EngineError) as raised:
        decompressor.finish()
    assert raised.value.number == 33
