"""What is watched from outside while a stack runs: memory, panes, rows, log lines; each sample with its time."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.partitioning import EVENT_PARTITIONS
from tests.integration.worker.stack import EVENTS, PANES, Role, Stack

MB = 1 << 20
POSITION = "SELECT sum(p) FROM (SELECT max(position) AS p FROM partition_progress GROUP BY kafka_partition)"
Series = list[tuple[float, float]]


@dataclass
class Watch:
    """Samples by monotonic time (s), from the moment each task is started until it is cancelled.

    `flushes` and `news` are, per partition of events.v1, when a flush arrived and when one arrived that went further than all before.
    """

    rss_mb: dict[str, Series] = field(default_factory=lambda: defaultdict(list))
    log_lines: dict[str, Series] = field(default_factory=lambda: defaultdict(list))
    position: Series = field(default_factory=list)
    lag: Series = field(default_factory=list)
    flushes: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    news: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def processes(self, roles: dict[str, Role], every_s: float = 1.0) -> None:
        """Resident memory and log length of every role; ends the program when one of them ends."""
        watched = {name: psutil.Process(role.process.pid) for name, role in roles.items()}
        while True:
            now = time.monotonic()
            for name, process in watched.items():
                if roles[name].process.poll() is not None:
                    raise SystemExit(f"{name} has ended: {roles[name].log.read_text().strip().splitlines()[-1]}")
                self.rss_mb[name].append((now, process.memory_info().rss / MB))
                self.log_lines[name].append((now, roles[name].log.read_bytes().count(b"\n")))
            await asyncio.sleep(every_s)

    async def panes(self, stack: Stack) -> None:
        """Every record of panes.v1 from now on."""
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, enable_auto_commit=False)
        await consumer.start()
        highest: dict[int, int] = defaultdict(lambda: -1)
        try:
            consumer.assign([TopicPartition(PANES, 0)])
            async for record in consumer:
                flush = json.loads(record.value)
                partition, now = flush["source_partition"], time.monotonic()
                self.flushes[partition].append(now)
                if flush["last_offset"] > highest[partition]:
                    highest[partition] = flush["last_offset"]
                    self.news[partition].append(now)
        finally:
            await consumer.stop()

    async def progress(self, stack: Stack, every_s: float = 0.5) -> None:
        """How far ClickHouse is, while it answers, and how far that is behind the end of the log: records over all partitions."""
        tps = [TopicPartition(EVENTS, partition) for partition in range(EVENT_PARTITIONS)]
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, enable_auto_commit=False)
        await consumer.start()
        try:
            while True:
                ends = sum((await consumer.end_offsets(tps)).values())
                with suppress(OSError):
                    position = await asyncio.to_thread(stack.one, POSITION)
                    self.position.append((time.monotonic(), position))
                    self.lag.append((time.monotonic(), ends - position))
                await asyncio.sleep(every_s)
        finally:
            await consumer.stop()


def within(series: Series, begin: float, end: float) -> Series:
    return [(at, value) for at, value in series if begin <= at < end]


def spread(series: Series) -> dict[str, float]:
    """Minimum, median, maximum, and the slope of the straight line of least squares per minute."""
    values = [value for _, value in series]
    return {"min": min(values), "median": median(values), "max": max(values), "per_min": slope(series) * 60}


def slope(series: Series) -> float:
    """Of the least-squares line, per second."""
    mean_at = sum(at for at, _ in series) / len(series)
    mean = sum(value for _, value in series) / len(series)
    square = sum((at - mean_at) ** 2 for at, _ in series)
    return sum((at - mean_at) * (value - mean) for at, value in series) / square if square else 0.0


def growth(series: Series) -> float:
    """How much the last fifth lies above the first, by their medians."""
    fifth = max(1, len(series) // 5)
    return median(value for _, value in series[-fifth:]) - median(value for _, value in series[:fifth])


def longest_silence(arrivals: dict[int, list[float]], begin: float, end: float) -> float:
    """Seconds without an arrival, in the partition where that was longest; the ends of the period bound it too."""

    def silence(times: Sequence[float]) -> float:
        marks = [begin, *(at for at in times if begin <= at < end), end]
        return max(later - earlier for earlier, later in pairwise(marks))

    return max(silence(times) for times in arrivals.values())


def most_per_minute(counts: Series) -> float:
    """The most that a running total has grown within any 60 s."""
    most, first = 0.0, 0
    for at, count in counts:
        while at - counts[first][0] > 60:
            first += 1
        most = max(most, count - counts[first][1])
    return most


def rounded(value: Any) -> Any:
    """Floats of a document to one decimal, wherever they stand."""
    if isinstance(value, float):
        return round(value, 1)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value
