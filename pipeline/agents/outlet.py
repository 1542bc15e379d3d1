"""One producer for everything a worker sends, and the patience to send until Kafka has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from mode import Service

from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.waiting import Waiting
from schemas.topics import DLQ

#: The flushes of all partitions of a worker go out together: batches of one partition wait for each other's answers.
BATCH_BYTES: Final = 512 << 10


class Outlet(Service):
    """Sends messages again until they are acknowledged; what piles up meanwhile is bounded by whoever waits for it."""

    def __init__(self, bootstrap_servers: str, client_id: str, clock: Clock, **service: Any) -> None:
        super().__init__(**service)
        self._bootstrap_servers, self._client_id = bootstrap_servers, client_id
        self._producer: AIOKafkaProducer | None = None
        self._waiting = Waiting("sending to Kafka", clock)

    def waiting_for(self) -> str | None:
        """Why the last messages could not be sent; None while they can."""
        return self._waiting.reason

    async def on_start(self) -> None:
        largest = int(DLQ.config["max.message.bytes"])
        self._producer = await start_producer(
            self._bootstrap_servers, self._client_id, compression="zstd", max_request_bytes=largest, max_batch_bytes=BATCH_BYTES
        )

    async def on_stop(self) -> None:
        if self._producer is not None:
            await stop_producer(self._producer)

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has all of `messages`; a repeat of some is possible. Raises Stop when one can never be sent."""
        while messages:
            try:
                await send_all(self._producer, messages)
                self._waiting.over()
                return
            except RetryAfter as busy:
                self._waiting.goes_on(str(busy))
                await asyncio.sleep(busy.seconds)
