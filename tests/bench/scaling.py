"""One worker and two over the same events, with every core for everybody: broker and engine take their part of them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

import psutil

from tests.bench.bench import Bench, Row
from tests.bench.events import Spec, events
from tests.bench.fill import Batches, build
from tests.bench.measured import Measured
from tests.bench.progress import start_within_hour, stretch
from tests.bench.reading import read_all

_PER_S: Final = 10_000
WORKERS: Final = (1, 2)


def section(bench: Bench) -> dict[str, list[Row]]:
    """`scaling`: a row per number of workers, over BENCH_SCALING_EVENTS (a million)."""
    count = int(os.environ.get("BENCH_SCALING_EVENTS", "1000000"))
    start_ms = start_within_hour(time.time_ns() // 1_000_000, count * 1000 // _PER_S)
    bench.rig.reset()
    batches = asyncio.run(build(bench.rig.kafka, events(Spec(count, start_ms, per_s=_PER_S))))
    rows = [_row(bench, batches, number) for number in WORKERS]
    return {"scaling": [row | {"times_one": round(row["events_per_s"] / rows[0]["events_per_s"], 2)} for row in rows]}


def _row(bench: Bench, batches: Batches, number: int) -> Row:
    bench.say(f"scaling: {batches.events:,} events, {number} worker{'s'[: number - 1]}")
    rig = bench.rig
    rig.reset()
    workers = [rig.start_worker(rig.cores.worker | rig.cores.rest) for _ in range(number)]
    try:
        for worker in workers:
            worker.pause()  # nobody begins before everything is there
        asyncio.run(batches.send(rig.kafka))
        others_before, began = _cpu_s_of_others(workers), time.monotonic()
        for worker in workers:
            worker.resume()
        samples = read_all(rig, workers, batches.events)
        others_s, wall_s = _cpu_s_of_others(workers) - others_before, samples[-1].at_s - began
    finally:
        for worker in workers:
            worker.stop()
    part = stretch(samples, batches.events // 20, batches.events)
    return {
        "workers": number,
        "events": batches.events,
        "events_per_s": round(part.events_per_s),
        "cpu_us_per_event": round(part.cpu_us_per_event, 2),
        "workers_busy_cores": round(part.cpu_us_per_event * part.events_per_s / 1e6, 2),
        "broker_and_engine_busy_cores": round(others_s / wall_s, 2),
        "rss_mb_of_each": round(part.rss_mb / number),
    }


def _cpu_s_of_others(workers: list[Measured]) -> float:
    """CPU seconds of what this process has started beside the workers: the broker and the engine."""
    ours = {worker.process.pid for worker in workers}
    times = [child.cpu_times() for child in psutil.Process(os.getpid()).children(recursive=True) if child.pid not in ours]
    return float(sum(time.user + time.system for time in times))
