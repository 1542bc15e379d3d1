"""Poison in compressed batches, which a broker takes by their compressed size: bounded where they are unpacked."""

from __future__ import annotations

import time
from typing import Final

import pytest
from aiokafka.errors import KafkaError

from tests.integration.worker.stack import EVENTS, Stack, ready
from tests.integration.worker.test_poison import PARTITION, Attack, letters_of, producer_of, until
from tests.poison.report import Row, forget_peak, peak_bytes, resident_bytes, show
from tests.waiting import wait_until

MIB: Final = 1 << 20
ROWS: Final = {
    "2 MiB in one value": ("zstd", 1, 2 * MIB, "too_large"),
    "10 MiB in one value, zstd": ("zstd", 1, 10 * MIB, "unread_batch"),
    "10 MiB in one value, gzip": ("gzip", 1, 10 * MIB, "unread_batch"),
    "10 MiB in one value, lz4": ("lz4", 1, 10 * MIB, "unread_batch"),
    "10 MiB in one value, snappy": ("snappy", 1, 10 * MIB, "unread_batch"),
    "1 GiB in 100 values, zstd": ("zstd", 100, 10 * MIB, "unread_batch"),
    "600 MiB in 60 values, gzip": ("gzip", 60, 10 * MIB, "unread_batch"),
}


async def send_batch(stack: Stack, codec: str, values: int, size: int) -> int:
    """One batch of so many values; the offset of its last one."""
    async with producer_of(
        stack, compression_type=None if codec == "none" else codec, max_batch_size=1 << 30, max_request_size=1 << 30
    ) as producer:
        batch = producer.create_batch()
        for _ in range(values):
            batch.append(key=b"original key", value=b'{"a":"' + b"x" * size + b'"}', timestamp=int(time.time() * 1000))
        batch.close()
        sent = await producer.send_batch(batch, EVENTS, partition=PARTITION)
        return int((await sent).offset) + values - 1


async def test_the_broker_refuses_a_value_of_ten_megabytes(stack: Stack) -> None:
    """Uncompressed it never gets as far as a worker."""
    with pytest.raises(KafkaError):
        await send_batch(stack, "none", 1, 10_000_000)


@pytest.mark.timeout(240)
@pytest.mark.long
async def test_a_batch_that_unpacks_to_too_much_harms_nobody(stack: Stack) -> None:
    """A gigabyte in seven kilobytes is one dead letter; neighbours are stored within a second, memory grows by 64 MiB at most."""
    worker = stack.start_worker()
    wait_until(lambda: ready(worker), 60, "worker ready")
    async with producer_of(stack) as producer:
        attack = Attack(stack, worker, producer)
        usual_s = min([(await attack.send(None))[1] for _ in range(5)])
        before_bytes, rows, offsets = resident_bytes(worker.process.pid), [], {}
        for name, (codec, values, size, error_code) in ROWS.items():
            forget_peak(worker.process.pid)
            offsets[name] = await send_batch(stack, codec, values, size)
            delay_s = (await attack.send(None))[1] - usual_s
            extra_bytes = peak_bytes(worker.process.pid) - before_bytes
            rows.append(Row(name, error_code, extra_bytes, delay_s))
    wanted = sorted((offsets[name], code) for name, (*_, code) in ROWS.items())
    where = f"kafka_partition = {PARTITION} AND kafka_offset >= {min(offsets.values())}"
    codes = f"SELECT kafka_offset AS at, error_code AS code FROM dead_letters WHERE {where} ORDER BY kafka_offset"
    await until(lambda: [(row["at"], row["code"]) for row in stack.query(codes)] == wanted, 10, f"dead letters are {wanted}")
    letters = await letters_of(stack)
    show(f"compressed batches by Kafka; neighbours usually {usual_s:.2f} s, worker {before_bytes >> 20} MiB", rows)
    assert letters[offsets["2 MiB in one value"]][0].value == (b'{"a":"' + b"x" * 2 * MIB)[:MIB]
    assert "unpacks to more than" in letters[offsets["1 GiB in 100 values, zstd"]][0].reason
    assert not [line for row in rows for line in row.complaints()]
    assert worker.process.poll() is None
