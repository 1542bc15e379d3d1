"""What the world does meanwhile: workers flush, incidents come and go, and people acknowledge some of them."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.command import Ack
from schemas.escalation import parse_escalation
from schemas.pane import PANE_MS, Flush
from schemas.timestamps import from_ms
from schemas.topics import COMMANDS, ESCALATIONS, PANES
from tests.chaos.alerting.script import WELL_S, Incident, Workers

ACKED_RATIO: Final = 0.4
#: Before and after the step that comes if nobody has acknowledged.
_ACKED_AFTER_S: Final = (0.0, 30.0)


@dataclass
class Load:
    """`acks`: when each incident was acknowledged on `commands.v1`, ms, by its key."""

    kafka: str
    seed: int
    incidents: list[Incident]
    acks: dict[str, int] = field(default_factory=dict)
    _people: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: int) -> None:
        """Return after `seconds`, and a minute of event time that was before."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", enable_idempotence=True)
        await producer.start()
        reader = asyncio.create_task(self._acknowledge(producer))
        try:
            await self._flush(producer, seconds)
        finally:
            for task in (reader, *self._people):
                task.cancel()
            await asyncio.gather(reader, *self._people, return_exceptions=True)
            await producer.stop()

    async def _flush(self, producer: AIOKafkaProducer, seconds: int) -> None:
        began_ms = time.time_ns() // 1_000_000
        workers = Workers(began_ms // PANE_MS * PANE_MS, self.incidents)
        for at_s in range(-WELL_S, seconds):
            wait_s = workers.base_ms / 1000 + at_s + 1 - time.time()
            await asyncio.sleep(max(0.0, wait_s))
            await asyncio.gather(*[await _send(producer, flush) for flush in workers.second(at_s)])

    async def _acknowledge(self, producer: AIOKafkaProducer) -> None:
        chance = random.Random(f"acks {self.seed}")
        tp = TopicPartition(ESCALATIONS.name, 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([tp])
            async for record in consumer:
                event = parse_escalation(record.value or b"")
                if event.event == "opened" and chance.random() < ACKED_RATIO:
                    person = asyncio.create_task(self._ack(producer, event.incident_key, chance.uniform(*_ACKED_AFTER_S)))
                    self._people.add(person)
        finally:
            with suppress(Exception):
                await consumer.stop()

    async def _ack(self, producer: AIOKafkaProducer, incident_key: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        at_ms = time.time_ns() // 1_000_000
        command = Ack(command_id=f"ack-{incident_key[:16]}", at=from_ms(at_ms), by="oncall", incident_key=incident_key)
        await producer.send_and_wait(COMMANDS.name, command.model_dump_json().encode(), incident_key.encode())
        self.acks[incident_key] = time.time_ns() // 1_000_000


async def _send(producer: AIOKafkaProducer, flush: Flush) -> asyncio.Future[object]:
    key = str(flush.source_partition).encode()
    sent: asyncio.Future[object] = await producer.send(PANES.name, flush.model_dump_json().encode(), key)
    return sent
