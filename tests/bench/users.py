"""What an event costs one worker when few or many different people send them."""

from __future__ import annotations

import os
import time
from typing import Final

from tests.bench.bench import Bench, Row
from tests.bench.progress import start_within_hour, stretch
from tests.bench.reading import fill_slices, read_all

USERS: Final = (10, 1_000, 100_000)
_PER_S: Final = 10_000


def section(bench: Bench) -> dict[str, list[Row]]:
    """`users`: a row per number of users, over BENCH_USERS_EVENTS (a million) each."""
    count = int(os.environ.get("BENCH_USERS_EVENTS", "1000000"))
    return {"users": [_row(bench, count, users) for users in USERS]}


def _row(bench: Bench, count: int, users: int) -> Row:
    bench.say(f"users: {count:,} events of {users:,}")
    bench.rig.reset()
    fill_slices(bench.rig, count, start_within_hour(time.time_ns() // 1_000_000, count * 1000 // _PER_S), users, _PER_S)
    worker = bench.rig.start_worker()
    try:
        part = stretch(read_all(bench.rig, [worker], count), count // 10, count)
    finally:
        worker.stop()
    return {
        "users": users,
        "events": count,
        "cpu_us_per_event": round(part.cpu_us_per_event, 2),
        "events_per_s": round(part.events_per_s),
        "rss_mb": round(part.rss_mb),
    }
