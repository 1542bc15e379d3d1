"""Says every ten seconds how busy and how full this machine is, straight to Kafka, as any service may.

Not through the gateway: numbers of a machine in trouble must not need one process more, nor a write key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from pipeline.host.usage import Usage, usage_event
from pipeline.runtime.clock import Clock, NewId
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.waiting import Waiting
from schemas.partitioning import partition_of
from schemas.topics import EVENTS

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 10.0
#: The first one need not wait so long: people who have just started it look whether it works.
_FIRST_AFTER_S: Final = 1.0
_SEND_WITHIN_S: Final = 5.0

REPORTS = Counter("nutricoach_host_reports_total", "Events by outcome: acknowledged, or dropped because Kafka was away.", ["outcome"])
USAGE = Gauge("nutricoach_host_usage_ratio", "What the last event said, 0 to 1.", ["resource"])


class Reporter:
    """Publishes what `read` says under the name `host`, until cancelled. What Kafka does not take in time is dropped: the next is newer."""

    def __init__(self, bootstrap_servers: str, host: str, read: Callable[[], Usage], clock: Clock, new_id: NewId) -> None:
        self._bootstrap_servers, self._host, self._read, self._clock, self._new_id = bootstrap_servers, host, read, clock, new_id
        self._producer: AIOKafkaProducer | None = None
        self._waiting = Waiting("reporting this host to Kafka", clock)

    def waiting_for(self) -> str | None:
        """What keeps it from reporting, None when nothing does."""
        if self._waiting.reason is not None:
            return f"Kafka ({self._waiting.reason})"
        return "Kafka" if self._producer is None else None

    async def run(self) -> None:
        """Report every `INTERVAL_S`."""
        try:
            await self._connect()
            due = self._clock.monotonic() + _FIRST_AFTER_S
            while True:
                await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
                due = max(due + INTERVAL_S, self._clock.monotonic())  # after a pause of the machine: one, not all that were missed
                await self._report()
        finally:
            await self._disconnect()

    async def _report(self) -> None:
        usage = self._read()
        event_id = self._new_id()
        value = usage_event(usage, self._host, event_id, self._clock.now_ms())
        for resource, ratio in (("cpu", usage.cpu_ratio), ("memory", usage.memory_ratio), ("disk", usage.disk_ratio)):
            USAGE.labels(resource).set(ratio)
        if self._producer is None:
            await self._connect()
        sent = self._producer is not None and await self._send(Message(EVENTS.name, value, event_id.encode(), partition_of(event_id)))
        REPORTS.labels("acknowledged" if sent else "dropped").inc()

    async def _connect(self) -> None:
        try:
            self._producer = await start_producer(self._bootstrap_servers, "nutricoach-host")
        except (Stop, KafkaError) as away:
            self._waiting.goes_on(str(away))

    async def _send(self, message: Message) -> bool:
        try:
            await send_all(self._producer, [message], timeout_s=_SEND_WITHIN_S)
        except (RetryAfter, Stop) as away:
            self._waiting.goes_on(str(away))
            await self._disconnect()  # with the event in it, which it would else keep until Kafka is back
            return False
        self._waiting.over()
        return True

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_producer(producer)
