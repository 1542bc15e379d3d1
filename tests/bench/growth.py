"""What an event costs one worker as more and more have been read: it should cost the same after millions, in CPU and in memory."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import Final

from tests.bench.bench import Bench, Row
from tests.bench.progress import Sample, start_within_hour, stretch
from tests.bench.reading import fill_slices, read_all

USERS: Final = 100_000
_PER_S: Final = 10_000
_POINTS: Final = 20


def section(bench: Bench) -> dict[str, list[Row]]:
    """`growth`: a row at 10, 30 and 100 % of BENCH_GROWTH_EVENTS (ten million); `growth_curve`: twenty equal stretches."""
    count = int(os.environ.get("BENCH_GROWTH_EVENTS", "10000000"))
    bench.rig.reset()
    bench.say(f"growth: filling {count:,} events of {USERS:,} users")
    fill_slices(bench.rig, count, start_within_hour(time.time_ns() // 1_000_000, count * 1000 // _PER_S), USERS, _PER_S)
    bench.say("growth: reading them")
    worker = bench.rig.start_worker()
    try:
        samples = read_all(bench.rig, [worker], count)
    finally:
        worker.stop()
    bench.rig.reset()
    return {"growth": rows(samples, count), "growth_curve": curve(samples, count)}


def rows(samples: list[Sample], count: int) -> list[Row]:
    """Cost of the stretch up to each mark; what starting costs lies before the first hundredth, which is left out."""
    marks = (count // 100, count // 10, count * 3 // 10, count)
    stretches = [stretch(samples, begin, end) for begin, end in pairwise(marks)]
    first = stretches[0].cpu_us_per_event
    return [
        {
            "events": part.end,
            "cpu_us_per_event": round(part.cpu_us_per_event, 2),
            "of_first_stretch": round(part.cpu_us_per_event / first, 3),
            "events_per_s": round(part.events_per_s),
            "rss_mb": round(part.rss_mb),
        }
        for part in stretches
    ]


def curve(samples: list[Sample], count: int) -> list[Row]:
    """Points of a curve; each stands for the stretch that ends there."""
    marks = [max(count // 100, count * number // _POINTS) for number in range(_POINTS + 1)]
    parts = [stretch(samples, begin, end) for begin, end in pairwise(marks)]
    return [{"events": p.end, "cpu_us_per_event": round(p.cpu_us_per_event, 2), "rss_mb": round(p.rss_mb)} for p in parts]
