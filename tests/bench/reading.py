"""A topic that is filled first, and workers that read it while their progress, CPU time and memory are sampled from outside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from tests.bench.check import events_in_panes, rows_stored
from tests.bench.events import Spec, events
from tests.bench.fill import fill
from tests.bench.measured import Measured
from tests.bench.progress import Sample
from tests.bench.rig import Rig

SAMPLE_EVERY_S: Final = 0.25
_SLICE: Final = 250_000
#: A worker that has made no progress for so long will make none.
_STUCK_S: Final = 60.0

_DURABLE: Final = """SELECT sum(position) AS n FROM
(SELECT max(position) AS position FROM telemetry.partition_progress GROUP BY kafka_partition)"""


def fill_slices(rig: Rig, count: int, start_ms: int, users: int, per_s: int = 10_000) -> None:
    """Append `count` events slice by slice, ids and times their own: so many batches at once would not fit in memory."""
    for number, begin in enumerate(range(0, count, _SLICE)):
        part = min(_SLICE, count - begin)
        fill(rig.kafka, events(Spec(part, start_ms + begin * 1000 // per_s, users, seed=100 + number, per_s=per_s)))


def read_all(rig: Rig, workers: Sequence[Measured], count: int) -> list[Sample]:
    """Sample until `count` events have had all their effects; CPU and memory are those of the workers together.

    Raises:
        TimeoutError: no progress any more.
        ValueError: when they were done, rows or panes held another number of events.
    """
    samples = [_sample(rig, workers)]
    moved_at = time.monotonic()
    while samples[-1].events < count:
        time.sleep(SAMPLE_EVERY_S)
        samples.append(_sample(rig, workers))
        for worker in workers:
            worker.check()
        if samples[-1].events > samples[-2].events:
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > _STUCK_S:
            raise TimeoutError(f"{samples[-1].events:,} of {count:,} events are done, and nothing has moved for {_STUCK_S:.0f} s")
    if (found := (rows_stored(rig), events_in_panes(rig))) != (count, count):
        raise ValueError(f"{found[0]:,} rows and {found[1]:,} events in panes of {count:,}")
    return samples


def _sample(rig: Rig, workers: Sequence[Measured]) -> Sample:
    done = int(rig.one(_DURABLE))
    cpu_s, rss_mb = sum(worker.cpu_s() for worker in workers), sum(worker.rss_mb() for worker in workers)
    return Sample(time.monotonic(), done, cpu_s, rss_mb)
