from __future__ import annotations

from pipeline.runtime.ledger import Chunk
from tests.integration.runtime.reading import QUICK, reading
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, until

PARTITIONS = 12


async def test_every_record_of_twelve_partitions_comes_once_and_in_order(kafka: str) -> None:
    """Chunks of a partition follow on each other without a gap, hold what was sent, and everything is committed at the end."""
    topic = await new_topic(kafka, PARTITIONS)
    await produce(kafka, topic, numbered(PARTITIONS, 500))
    values: dict[int, list[bytes]] = {}

    async def keep(chunk: Chunk) -> None:
        values.setdefault(chunk.tp.partition, []).extend(record.value for record in chunk.records)
        chunk.done()

    async with reading(kafka, topic, keep) as reader:
        await until(lambda: reader.applied_count >= PARTITIONS * 500)
        await produce(kafka, topic, numbered(PARTITIONS, 20, first=500))
        await until(lambda: reader.applied_count >= PARTITIONS * 520)
        assert reader.source.not_ready() is None
    assert values == {partition: [b"%d" % number for number in range(520)] for partition in range(PARTITIONS)}
    assert reader.applied == {partition: list(range(520)) for partition in range(PARTITIONS)}
    assert max(last - first + 1 for _, first, last in reader.seen) <= QUICK.chunk_records
    for partition in range(PARTITIONS):
        steps = [(first, last) for one, first, last in reader.seen if one == partition]
        assert [first for first, _ in steps] == [0, *(last + 1 for _, last in steps[:-1])]
    assert await committed(kafka, topic) == dict.fromkeys(range(PARTITIONS), 520)


async def test_a_chunk_holds_bounded_bytes(kafka: str) -> None:
    """A fetch of large records is cut, and nothing of it is lost."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, [(0, b"x" * 1_000)] * 50)
    sizes = []

    async def measure(chunk: Chunk) -> None:
        sizes.append(chunk.size_bytes)
        chunk.done()

    limits = QUICK.__class__(chunk_records=100, chunk_bytes=3_500, commit_interval_s=0.05)
    async with reading(kafka, topic, measure, limits=limits) as reader:
        await until(lambda: reader.applied_count == 50)
    assert reader.applied == {0: list(range(50))}
    assert set(sizes) <= {1_000, 2_000, 3_000}


async def test_a_chunk_that_fails_is_read_again_before_anything_that_follows_it(kafka: str) -> None:
    """A state that stands at `follows_on` of every chunk it folds, and loads itself again at each failure, misses nothing."""
    topic = await new_topic(kafka, 3)
    await produce(kafka, topic, numbered(3, 400))
    folded_to: dict[int, int] = {}
    failures = {(0, 150), (0, 151), (1, 0), (2, 399)}

    async def load(resume: object) -> int:
        offset: int = resume.committed or 0  # type: ignore[attr-defined]
        folded_to[resume.tp.partition] = offset  # type: ignore[attr-defined]
        return offset

    async def fold(chunk: Chunk) -> None:
        partition = chunk.tp.partition
        assert folded_to[partition] == chunk.follows_on
        for record in chunk.records:
            if (partition, record.offset) in failures:
                failures.remove((partition, record.offset))
                raise ValueError("the fold is half done")
            folded_to[partition] = record.offset + 1
        chunk.done()

    async with reading(kafka, topic, fold, resume=load) as reader:
        await until(lambda: reader.applied_count == 1_200)
    assert not failures
    assert reader.applied == {partition: list(range(400)) for partition in range(3)}
    assert await committed(kafka, topic) == {0: 400, 1: 400, 2: 400}


async def test_asking_for_a_rewind_reads_released_chunks_again(kafka: str) -> None:
    """`release()` gave the memory back; `rewind()` is how the records come again, and a late done() of the old chunk is harmless."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 300))
    released: list[Chunk] = []
    again = False

    async def hold(chunk: Chunk) -> None:
        if again:
            chunk.done()
        else:
            released.append(chunk)
            chunk.release()

    async with reading(kafka, topic, hold) as reader:
        await until(lambda: reader.applied_count == 300)
        assert await committed(kafka, topic) == {}
        again = True
        (tp,) = reader.source.owned()
        assert await reader.source.rewind(tp)
        for chunk in released:
            chunk.done()
        await until(lambda: reader.applied_count == 600)
    assert reader.applied == {0: [*range(300), *range(300)]}
    assert await committed(kafka, topic) == {0: 300}
    assert not await reader.source.rewind(tp)
