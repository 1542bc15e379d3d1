"""Sends claims until Kafka has them, whichever connection they are about."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.gateway.acceptance import Claim
from schemas.partitioning import partition_of

log = structlog.get_logger(__name__)

_LAST_WITHIN_S: Final = 1.0


class Claims:
    """Those that Kafka does not have: at most one for each minute in which it had something else. They are lost with the process.

    Their records are marked by no gateway: claims are not counted, or there would be no end of them.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: dict[str, Claim] = {}

    def add(self, claims: Iterable[Claim]) -> None:
        self._waiting |= {claim.event_id: claim for claim in claims}

    async def send(self, producer: AIOKafkaProducer) -> None:
        """Return when Kafka has all of them, or has refused one: it is sent with the next ones."""
        try:
            for event_id, claim in list(self._waiting.items()):
                sent = await producer.send(self._topic, claim.value(), event_id.encode(), partition_of(event_id))
                await sent
                del self._waiting[event_id]
        except KafkaError as error:
            log.warning("what was accepted is told later", claims=len(self._waiting), reason=type(error).__name__)

    async def send_last(self, producer: AIOKafkaProducer) -> None:
        """The same, before a producer is stopped that may have failed: it is given a second."""
        try:
            await asyncio.wait_for(self.send(producer), _LAST_WITHIN_S)
        except TimeoutError:
            log.warning("what was accepted is told later", claims=len(self._waiting), reason="Kafka does not answer")
