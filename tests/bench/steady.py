"""A publisher that keeps its rate whatever happens behind it (open loop): a late answer delays no later event."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from aiokafka import AIOKafkaProducer

from schemas.topics import EVENTS
from tests.bench.events import Made
from tests.bench.sightings import Published

TICK_S: Final = 0.01


class NotHeld(Exception):
    """The rate was more than something behind it could take; says what."""


async def publish_steadily(producer: AIOKafkaProducer, made: Iterator[Made], per_s: int, seconds: float) -> list[Published]:
    """Publish `per_s` events for so long, an equal number every TICK_S.

    Returns:
        One entry per tick and partition. `due_s` is when the events were to be sent, not when that was possible: waiting for a
        broker that is slow is part of the latency.

    Raises NotHeld when more waits for the broker than fits a batch.
    """
    lanes: defaultdict[int, _Lane] = defaultdict(lambda: _Lane(producer))
    began = time.monotonic()
    for tick in range(round(seconds / TICK_S)):
        due_s = began + tick * TICK_S
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        by_partition: defaultdict[int, list[Made]] = defaultdict(list)
        for event in islice(made, round(per_s * TICK_S)):
            by_partition[event.partition].append(event)
        for partition, events in by_partition.items():
            lanes[partition].put(events, due_s)
    await asyncio.gather(*(lane.sending for lane in lanes.values() if lane.sending is not None))
    return [entry for lane in lanes.values() for entry in lane.published]


@dataclass(slots=True)
class _Lane:
    """One partition: what comes while a batch is on its way shares the next one, as in any producer."""

    producer: AIOKafkaProducer
    waiting: list[tuple[list[Made], float]] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    sending: asyncio.Task[None] | None = None

    def put(self, events: list[Made], due_s: float) -> None:
        self.waiting.append((events, due_s))
        if self.sending is None:
            self.sending = asyncio.create_task(self._send())
        elif self.sending.done():
            self.sending.result()
            self.sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self.waiting:
            ticks, self.waiting = self.waiting, []
            partition, batch = ticks[0][0][0].partition, self.producer.create_batch()
            for events, _ in ticks:
                for event in events:
                    if batch.append(timestamp=None, key=event.key, value=event.value) is None:
                        raise NotHeld(f"{len(ticks)} ticks wait for partition {partition}: the broker is too slow for this rate")
            offset = (await (await self.producer.send_batch(batch, EVENTS.name, partition=partition))).offset
            for events, due_s in ticks:
                offset += len(events)
                self.published.append(Published(partition, offset - 1, len(events), due_s))
