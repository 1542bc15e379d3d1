"""How long an event takes to a pane on `panes.v1` and to a row in ClickHouse, at a steady rate, with two workers.

Published by one open-loop producer and watched by one ordinary consumer and one SELECT, all in this process, outside of ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer

from pipeline.gateway.publish import BATCH_BYTES
from tests.bench.bench import Bench, Row
from tests.bench.events import Spec, events
from tests.bench.pinning import Cores
from tests.bench.rig import Rig, running_rig
from tests.bench.sightings import Published, Sightings, quantile_ms
from tests.bench.steady import NotHeld, publish_steadily
from tests.bench.watching import watched_panes, watched_rows

RATES_PER_S: Final = (1_000, 20_000)
WORKERS: Final = 2
WARM_UP_S: Final = 10.0
MEASURED_S: Final = 30.0
_SEEN_WITHIN_S: Final = 30.0


def section(bench: Bench) -> dict[str, list[Row]]:
    """`latency`: one row per rate, milliseconds from when an event was to be sent; without figures where the rate was not held.

    Nothing is pinned: a broker and an engine that must share one core make everybody wait for each other.
    """
    everywhere = bench.rig.cores.worker | bench.rig.cores.rest
    with running_rig(bench.rig.folder / "latency", Cores(everywhere, everywhere)) as rig:
        return {"latency": [_row(bench, rig, per_s) for per_s in RATES_PER_S]}


def _row(bench: Bench, rig: Rig, per_s: int) -> Row:
    bench.say(f"latency at {per_s:,} events/s, {WARM_UP_S + MEASURED_S:.0f} s")
    rig.reset()
    workers = [rig.start_worker() for _ in range(WORKERS)]
    try:
        before, began = sum(worker.cpu_s() for worker in workers), time.monotonic()
        waits = asyncio.run(_waits(rig, per_s))
        cores = (sum(worker.cpu_s() for worker in workers) - before) / (time.monotonic() - began)
    except NotHeld as reason:
        bench.say(str(reason))
        return row(per_s, {"pane": None, "row": None}, str(reason))
    finally:
        for worker in workers:
            worker.stop()
    return row(per_s, waits) | {"workers_busy_cores": round(cores, 2)}


def row(per_s: int, waits: Mapping[str, Sequence[tuple[float, int]] | None], invalid: str = "") -> Row:
    """Quantiles of what each observer saw; None where there is nothing to take them of."""
    found: Row = {"events_per_s": per_s, "workers": WORKERS, "seconds": MEASURED_S}
    for what, measured in waits.items():
        for name, rank in (("p50", 0.5), ("p99", 0.99)):
            found[f"{what}_{name}_ms"] = quantile_ms(measured, rank) if measured else None
    return found | {"invalid": invalid}


async def _waits(rig: Rig, per_s: int) -> dict[str, list[tuple[float, int]]]:
    seconds = WARM_UP_S + MEASURED_S
    made = events(Spec(round(per_s * seconds), time.time_ns() // 1_000_000, per_s=per_s))
    async with _producing(rig.kafka) as producer, watched_panes(rig.kafka) as panes, watched_rows(rig.clickhouse) as rows:
        began = time.monotonic()
        published = await publish_steadily(producer, made, per_s, seconds)
        await _all_seen(published, panes, rows)
    counted = [batch for batch in published if batch.due_s >= began + WARM_UP_S]
    return {"pane": panes.waits_ms(counted), "row": rows.waits_ms(counted)}


async def _all_seen(published: Sequence[Published], *observers: Sightings) -> None:
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while not all(seen.has_seen(published) for seen in observers):
        if time.monotonic() > deadline:
            raise NotHeld(f"not everything was seen within {_SEEN_WITHIN_S:.0f} s after the last event")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _producing(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, compression_type="zstd", max_batch_size=BATCH_BYTES
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
