"""One producer for everything a worker sends, and the patience to send until Kafka has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from mode import Service

from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.producer import Message, send_all, start_producer
from schemas.topics import DLQ

log: Final = structlog.get_logger(__name__)


class Outlet(Service):
    """Sends messages again until they are acknowledged; what piles up meanwhile is bounded by whoever waits for it."""

    def __init__(self, bootstrap_servers: str, client_id: str, **service: Any) -> None:
        super().__init__(**service)
        self._bootstrap_servers, self._client_id = bootstrap_servers, client_id
        self._producer: AIOKafkaProducer | None = None
        self.waiting_for: str | None = None

    async def on_start(self) -> None:
        largest = int(DLQ.config["max.message.bytes"])
        self._producer = await start_producer(self._bootstrap_servers, self._client_id, compression="zstd", max_request_bytes=largest)

    async def on_stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when Kafka has all of `messages`; a repeat of some is possible. Raises Stop when one can never be sent."""
        while messages:
            try:
                await send_all(self._producer, messages)
                self.waiting_for = None
                return
            except RetryAfter as busy:
                self.waiting_for = "Kafka"
                log.warning(str(busy))
                await asyncio.sleep(busy.seconds)
