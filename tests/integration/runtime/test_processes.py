from __future__ import annotations

import signal
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.freezing import freeze
from tests.integration.runtime.effects_worker import Plan
from tests.integration.runtime.processes import effect_count, effects, worker
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, until

PARTITIONS = 12
QUICK = {"chunk_records": 100, "commit_interval_s": 0.05, "session_timeout_s": 6.0}


async def assert_nothing_committed_is_missing(kafka: str, plan: Plan) -> None:
    """What the broker has as committed is in the file, whatever the moment."""
    offsets = await committed(kafka, plan.topic)
    there = effects(plan)
    for partition, offset in offsets.items():
        assert set(range(offset)) <= set(there.get(partition, {})), f"partition {partition} committed {offset}"


@pytest.mark.long
async def test_workers_killed_in_the_middle_lose_nothing(kafka: str, tmp_path: Path) -> None:
    """Three kills -9 with work in hand; at each, nothing was committed ahead of its effects, and in the end every record has its own."""
    topic = await new_topic(kafka, PARTITIONS)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), pause_s=0.003, limits=QUICK)
    await produce(kafka, topic, numbered(PARTITIONS, 1_000))
    for kill in range(3):
        before = effect_count(plan)
        async with worker(plan, tmp_path, f"killed-{kill}") as process:
            await until(lambda before=before: effect_count(plan) >= before + 700)  # type: ignore[misc]
            process.send(signal.SIGKILL)
            assert (await process.exited())[0] == -signal.SIGKILL
        assert effect_count(plan) < PARTITIONS * 1_000  # it had work in hand
        await assert_nothing_committed_is_missing(kafka, plan)
    async with worker(plan, tmp_path, "last") as process:
        await until(lambda: effect_count(plan) == PARTITIONS * 1_000, within_s=40.0)
        process.send(signal.SIGTERM)
        assert (await process.exited())[0] == 0
    assert effects(plan) == {partition: {number: str(number) for number in range(1_000)} for partition in range(PARTITIONS)}
    assert await committed(kafka, topic) == dict.fromkeys(range(PARTITIONS), 1_000)


async def test_sigterm_finishes_what_is_open_commits_it_and_exits_with_zero(kafka: str, tmp_path: Path) -> None:
    """Within seconds, without a line on stderr; the next worker begins exactly where this one ended."""
    topic = await new_topic(kafka, PARTITIONS)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), pause_s=0.002, limits={**QUICK, "max_records_open": 500})
    await produce(kafka, topic, numbered(PARTITIONS, 1_000))
    async with worker(plan, tmp_path, "worker") as process:
        await until(lambda: effect_count(plan) >= 300)
        process.send(signal.SIGTERM)
        status, took_s = await process.exited()
    assert (status, process.stderr) == (0, "")
    assert took_s < 5.0
    offsets = await committed(kafka, topic)
    assert {partition: len(one) for partition, one in effects(plan).items()} == {one: end for one, end in offsets.items() if end}


@pytest.mark.long
async def test_a_zombie_s_late_commit_is_refused_and_harmless(kafka: str, tmp_path: Path) -> None:
    """A worker frozen in the middle of a chunk wakes up when another has long done its work."""
    topic = await new_topic(kafka, 2)
    hold = tmp_path / "hold"
    hold.touch()
    frozen_plan = Plan(kafka, topic, str(tmp_path / "effects"), hold=str(hold), limits=QUICK)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), limits=QUICK)
    await produce(kafka, topic, numbered(2, 300))
    async with worker(frozen_plan, tmp_path, "zombie") as zombie:
        await until(lambda: effect_count(plan) == 20)
        freeze(zombie.running.pid)
        async with worker(plan, tmp_path, "heir") as heir:
            await until(lambda: effect_count(plan) == 600, within_s=30.0)  # after the session of the zombie has run out
            await produce(kafka, topic, numbered(2, 100, first=300))
            await until(lambda: effect_count(plan) == 800)
            await until(lambda: _committed_is(kafka, topic, {0: 400, 1: 400}))
            hold.unlink()
            zombie.send(signal.SIGCONT)
            await until(lambda: "not committed, it will be read again" in zombie.log)
            await until(lambda: zombie.log.count("Successfully synced group") >= 2, within_s=30.0)
            await produce(kafka, topic, numbered(2, 50, first=400))
            await until(lambda: _committed_is(kafka, topic, {0: 450, 1: 450}))
            for process in (heir, zombie):
                process.send(signal.SIGTERM)
                assert (await process.exited())[0] == 0
    assert effects(plan) == {partition: {number: str(number) for number in range(450)} for partition in range(2)}
    assert await committed(kafka, topic) == {0: 450, 1: 450}


async def _committed_is(kafka: str, topic: str, offsets: dict[int, int]) -> bool:
    return await committed(kafka, topic) == offsets


async def test_the_watchdog_ends_the_process_with_one_line(kafka: str, tmp_path: Path) -> None:
    """Exit status 1, so that a supervisor starts it again; the line says which partition and offset."""
    topic = await new_topic(kafka, 1)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="never done", limits={**QUICK, "stuck_after_s": 1.0, "drain_timeout_s": 0.2})
    await produce(kafka, topic, numbered(1, 10))
    async with worker(plan, tmp_path, "worker") as process:
        status, _ = await process.exited()
    assert status == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"telemetry worker: {topic}-0 is stuck: the records from offset 0 on are not done after 1 s")
    assert await committed(kafka, topic) == {}


async def test_what_a_frozen_process_claims_to_have_read_is_true_when_it_wakes(kafka: str, tmp_path: Path) -> None:
    """Records appended while it was frozen lie after every time it says it was caught up at with a position before them.

    It asks without a pause, so that it is always frozen with a question or an answer on the way.
    """
    topic = await new_topic(kafka, 1)
    notes = tmp_path / "caught-up"
    plan = Plan(kafka, topic, str(tmp_path / "effects"), caught_up=str(notes), limits={**QUICK, "log_end_interval_s": 0.001})
    async with worker(plan, tmp_path, "worker") as process:
        for round_of_ten in range(5):
            position = 10 * round_of_ten
            await until(lambda position=position: _claims(notes).get(position, 0) > 0)  # type: ignore[misc]
            freeze(process.running.pid)
            await produce(kafka, topic, numbered(1, 10, first=position))
            appended_at_ms = await _last_append_ms(kafka, topic)
            process.send(signal.SIGCONT)
            await until(lambda position=position: _claims(notes).get(position + 10, 0) > 0)  # type: ignore[misc]
            assert _claims(notes)[position] <= appended_at_ms


def _claims(notes: Path) -> dict[int, int]:
    """The latest time claimed, by position."""
    latest: dict[int, int] = {}
    for line in notes.read_text().split("\n")[:-1] if notes.exists() else []:
        _, position, at_ms = map(int, line.split())
        latest[position] = max(latest.get(position, 0), at_ms)
    return latest


async def _last_append_ms(kafka: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        consumer.seek(tp, (await consumer.end_offsets([tp]))[tp] - 1)
        record = await consumer.getone()
    finally:
        await consumer.stop()
    return int(record.timestamp)
