from __future__ import annotations

import asyncio

import pytest

from pipeline.runtime.errors import Stop
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.resume import Resume
from tests.integration.runtime.reading import QUICK, reading
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, remove_before, until

PARTITIONS = 12


async def test_a_second_member_takes_half_and_nothing_is_missed(kafka: str) -> None:
    """Partitions move while records flow; each goes on where its last owner had committed, and ends whole."""
    topic = await new_topic(kafka, PARTITIONS)
    everything = set(range(600))

    async def slowly(chunk: Chunk) -> None:
        await asyncio.sleep(0.005)
        chunk.done()

    async with reading(kafka, topic, slowly) as first:
        await produce(kafka, topic, numbered(PARTITIONS, 300))
        await until(lambda: first.applied_count > 0)
        async with reading(kafka, topic, slowly) as second:
            await produce(kafka, topic, numbered(PARTITIONS, 200, first=300))
            await until(lambda: len(first.source.owned()) == len(second.source.owned()) == PARTITIONS // 2)
            assert not set(first.source.owned()) & set(second.source.owned())
            await produce(kafka, topic, numbered(PARTITIONS, 100, first=500))

            def all_applied() -> bool:
                return all({*first.applied.get(one, ()), *second.applied.get(one, ())} == everything for one in range(PARTITIONS))

            await until(all_applied)
            moved = set(second.applied)
        await until(lambda: len(first.source.owned()) == PARTITIONS)
        await produce(kafka, topic, numbered(PARTITIONS, 10, first=600))
        await until(lambda: all(first.applied.get(one, [0])[-1] == 609 for one in range(PARTITIONS)))
    assert len(moved) == PARTITIONS // 2
    assert await committed(kafka, topic) == dict.fromkeys(range(PARTITIONS), 610)


async def test_a_slow_resume_does_not_hold_up_the_group(kafka: str) -> None:
    """While one member waits for its state, another joins, gets its half and reads it; what was lost is no longer asked for."""
    topic = await new_topic(kafka, 4)
    await produce(kafka, topic, numbered(4, 50))
    warehouse_is_back = asyncio.Event()
    asking: list[int] = []
    cancelled: list[int] = []

    async def wait_for_the_warehouse(resume: Resume) -> int:
        asking.append(resume.tp.partition)
        try:
            await warehouse_is_back.wait()
        except asyncio.CancelledError:
            cancelled.append(resume.tp.partition)
            raise
        return resume.committed or 0

    async with reading(kafka, topic, resume=wait_for_the_warehouse) as slow:
        await until(lambda: sorted(asking) == [0, 1, 2, 3])
        assert slow.source.consumer is not None
        assert slow.source.consumer.paused() == slow.source.consumer.assignment()  # nothing is fetched to be thrown away
        assert slow.source.not_ready() == f"the state of 4 partitions of {topic}"
        async with reading(kafka, topic) as quick:
            took_s = await until(lambda: quick.applied_count == 100)
            assert took_s < QUICK.session_timeout_s  # the slow member noticed at a heartbeat (a quarter of it) and let go at once
            assert sorted(cancelled) == [0, 1, 2, 3]
            assert slow.seen == []
            warehouse_is_back.set()
            await until(lambda: slow.applied_count == 100)
            assert slow.source.not_ready() is None
        assert not set(slow.applied) & set(quick.applied)


async def test_an_answer_that_comes_after_the_partition_was_lost_is_not_used(kafka: str) -> None:
    """A resume callback that does not heed its cancellation answers in the middle of the next ownership."""
    topic = await new_topic(kafka, 2)
    await produce(kafka, topic, numbered(2, 10))
    too_late = asyncio.Event()
    asked = answered_late = 0

    async def deaf(resume: Resume) -> int:
        nonlocal asked, answered_late
        asked += 1
        if asked > 2:
            return resume.committed or 0
        try:
            await too_late.wait()
        except asyncio.CancelledError:
            await too_late.wait()
        answered_late += 1
        return 5

    async with reading(kafka, topic, resume=deaf) as reader:
        await until(lambda: asked == 2)
        async with reading(kafka, topic) as other:
            await until(lambda: reader.applied_count == other.applied_count == 10)
            too_late.set()
            await until(lambda: answered_late == 2)
            await produce(kafka, topic, numbered(2, 10, first=10))
            await until(lambda: reader.applied_count == other.applied_count == 20)
            assert not reader.app.crashed
            assert list(reader.applied.values()) == [list(range(20))]


async def test_records_that_retention_removed_end_the_worker(kafka: str) -> None:
    """The committed offset lies before the log: reading on would skip records without a word."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 20))
    async with reading(kafka, topic) as reader:
        await until(lambda: reader.applied_count == 20)
    await produce(kafka, topic, numbered(1, 20))
    await remove_before(kafka, topic, 0, 30)
    async with reading(kafka, topic) as reader:
        await until(lambda: reader.app.crashed)
    assert isinstance(reader.app.crash_reason, Stop)
    assert "retention removed records that were not read: offsets 20 to 29" in str(reader.app.crash_reason)
    assert reader.seen == []


async def test_records_removed_under_a_reader_end_the_worker(kafka: str) -> None:
    """Retention overtakes a reader that stands still: the fetch is out of range, and that is not healed by skipping."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 50))
    held: list[Chunk] = []

    async def hold(chunk: Chunk) -> None:
        held.append(chunk)

    limits = QUICK.__class__(chunk_records=10, max_records_open=20, commit_interval_s=0.05)
    async with reading(kafka, topic, hold, limits=limits) as reader:
        await until(lambda: len(held) == 2)
        await produce(kafka, topic, numbered(1, 50))
        await until(lambda: reader.source._throttled)  # so that nothing is prefetched any more
        await remove_before(kafka, topic, 0, 70)
        for chunk in held:
            chunk.done()
        await until(lambda: reader.app.crashed)
    assert "retention removed records that were not read: offsets 20 to 69" in str(reader.app.crash_reason)


@pytest.mark.parametrize("answer", [21, 1_000])
async def test_resuming_beyond_the_log_ends_the_worker(kafka: str, answer: int) -> None:
    """A state that stands further than the log reaches belongs to another topic of the same name."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 20))

    async def ahead(resume: Resume) -> int:
        return answer

    async with reading(kafka, topic, resume=ahead) as reader:
        await until(lambda: reader.app.crashed)
    assert "the log ends at 20" in str(reader.app.crash_reason)


async def test_stop_in_the_resume_callback_ends_the_worker_with_its_line(kafka: str) -> None:
    """The owner's own reason not to go on, for example progress that is gone."""
    topic = await new_topic(kafka, 1)

    async def refuse(resume: Resume) -> int:
        raise Stop("the progress of events.v1-0 is gone; run telemetry reconcile")

    async with reading(kafka, topic, resume=refuse) as reader:
        await until(lambda: reader.app.crashed)
    assert str(reader.app.crash_reason) == "the progress of events.v1-0 is gone; run telemetry reconcile"


async def test_stop_inside_a_chunk_ends_the_worker_and_keeps_what_was_durable(kafka: str) -> None:
    """Chunks that were done before are committed; the one that stopped, and those after it, are not."""
    topic = await new_topic(kafka, 1)
    await produce(kafka, topic, numbered(1, 500))

    async def refuse(chunk: Chunk) -> None:
        if chunk.last_offset >= 250:
            raise Stop("this row cannot be inserted; see the log")
        chunk.done()

    async with reading(kafka, topic, refuse, limits=QUICK.__class__(chunk_records=100, commit_interval_s=60.0)) as reader:
        await until(lambda: reader.app.crashed)
    assert str(reader.app.crash_reason) == "this row cannot be inserted; see the log"
    assert reader.applied == {0: list(range(200))}
    assert await committed(kafka, topic) == {0: 200}
