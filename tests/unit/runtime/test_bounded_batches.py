from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from backports.zstd import CompressionParameter, ZstdCompressor
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.bounded_batches import MAX_ANSWER_BYTES, MAX_BATCH_BYTES, BoundedRecords
from schemas.event import UNREAD_BATCH, decode

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(codec: str, values: list[bytes | None], first_offset: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, -1, 1 << 30)
    for offset, value in enumerate(values):
        builder.append(offset, 1_700_000_000_000 + offset, b"key", value, [("name", b"text")])
    return first_offset.to_bytes(8, "big") + bytes(builder.build())[8:]


def read(records: Any) -> list[tuple[Any, ...]]:
    """What a consumer takes from an answer, checksums looked at as it does."""
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        assert not one.is_control_batch
        found += [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers)) for r in one]
        assert found[-1][0] == one.next_offset - 1
    return found


@given(
    st.lists(st.tuples(st.sampled_from(sorted(CODECS)), st.lists(st.none() | st.binary(max_size=40), min_size=1, max_size=4)), max_size=4)
)
def test_batches_within_bounds_are_read_as_aiokafka_reads_them(batches: list[tuple[str, list[bytes | None]]]) -> None:
    """Compressed in any way or not at all: the same offsets, times, keys, values and headers, also when the last one is cut off."""
    data, offset = b"", 0
    for codec, values in batches:
        data += batch(codec, values, offset)
        offset += len(values)
    assert read(BoundedRecords(data)) == read(MemoryRecords(data))
    assert read(BoundedRecords(data[:-1])) == read(MemoryRecords(data[:-1]))
    assert BoundedRecords(data).size_in_bytes() == len(data)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_that_unpacks_to_too_much_is_one_record(codec: str) -> None:
    """It stands at the last offset, says why and from where to where, and the batches around it are read."""
    bomb = batch(codec, [b"x" * (1 << 20)] * (MAX_BATCH_BYTES >> 20), 10)
    found = read(BoundedRecords(batch(codec, [b"before"], 9) + bomb + batch(codec, [b"after"], 18)))
    assert [(offset, value) for offset, *_, value, _ in found][::2] == [(9, b"before"), (18, b"after")]
    offset, *_, key, value, _ = found[1]
    assert (offset, key) == (17, None)
    bad = decode([value]).bad[0]
    assert (bad.code, bad.reason) == ("unread_batch", f"offsets 10 to 17: the record batch unpacks to more than {MAX_BATCH_BYTES} bytes")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize(
    "damage", [lambda body: body[: len(body) // 2], lambda body: bytes(len(body)), lambda body: b"\x82SNAPPY\0" + body]
)
def test_a_batch_that_cannot_be_unpacked_is_one_record(codec: str, damage: Any) -> None:
    """Damaged, empty or mislabelled: a reason, not an exception that would come again for ever."""
    whole = batch(codec, [b"some text and some more text"] * 9)
    body = damage(whole[61:])
    records = BoundedRecords(whole[:8] + (49 + len(body)).to_bytes(4, "big") + whole[12:61] + body)
    [(offset, *_, value, _)] = [(r.offset, r.value, None) for r in records.next_batch()]
    assert offset == 8
    assert value.startswith(UNREAD_BATCH + b"offsets 0 to 8: the record batch cannot be unpacked")


def test_a_window_larger_than_a_batch_is_not_allocated() -> None:
    """128 MiB asked for by twenty bytes of zstd."""
    compressor = ZstdCompressor(options={CompressionParameter.window_log: 27})
    plain = batch("zstd", [b"x"])
    body = compressor.compress(b"x") + compressor.flush()
    records = BoundedRecords(plain[:8] + (49 + len(body)).to_bytes(4, "big") + plain[12:61] + body)
    assert [r.value.startswith(UNREAD_BATCH) for r in records.next_batch()] == [True]


def test_an_answer_is_read_only_so_far() -> None:
    """Batches of seven mebibytes each in a few kilobytes: the first three are read, the rest is left for the next answer."""
    data = b"".join(batch("zstd", [b"x" * (1 << 20)] * 7, 7 * place) for place in range(5))
    found = read(BoundedRecords(data))
    assert [offset for offset, *_ in found] == list(range(7 * (MAX_ANSWER_BYTES // (7 << 20) + 1)))


def test_the_checksum_is_that_of_what_was_sent() -> None:
    """A flipped bit in the compressed bytes is seen, as aiokafka would see it."""
    whole = bytearray(batch("gzip", [b"some text"]))
    whole[-1] ^= 1
    assert not BoundedRecords(bytes(whole)).next_batch().validate_crc()
