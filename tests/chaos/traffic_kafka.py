"""Copies straight to Kafka, as a publisher with the idempotent producer sends them: again and again until the broker has them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.sent import Copy, Item

EVENTS: Final = "nutricoach.telemetry.events.v1"
_PAUSE_S: Final = 0.5
_STOP_S: Final = 3.0


class KafkaLane:
    """Sends what it is given; `run` until cancelled. A producer that failed once is replaced, and what it had in hand is sent again."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._waiting: asyncio.Queue[tuple[Item, Copy]] = asyncio.Queue()
        self._in_hand: dict[int, tuple[Item, Copy]] = {}
        self._failed = False

    def send(self, item: Item, copy: Copy) -> None:
        """Take a copy over; its outcome is noted in it."""
        self._waiting.put_nowait((item, copy))

    async def run(self) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away is the purpose, not news
        while True:
            producer = await self._connect()
            try:
                await self._pump(producer)
            except KafkaError:
                await asyncio.sleep(_PAUSE_S)
            finally:
                await _close(producer)
            for one in self._in_hand.values():
                self._waiting.put_nowait(one)
            self._in_hand.clear()

    async def _connect(self) -> AIOKafkaProducer:
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True, linger_ms=5, request_timeout_ms=15_000
            )
            try:
                await producer.start()
                return producer
            except (KafkaError, OSError):
                await _close(producer)
                await asyncio.sleep(_PAUSE_S)

    async def _pump(self, producer: AIOKafkaProducer) -> None:
        """Send until something fails."""
        self._failed = False
        while not self._failed:
            try:
                item, copy = await asyncio.wait_for(self._waiting.get(), _PAUSE_S)
            except TimeoutError:
                continue
            if copy.outcome == "acked":  # the answer to an earlier attempt came after all
                continue
            self._in_hand[id(copy)] = (item, copy)
            copy.attempts += 1
            sending = await producer.send(EVENTS, item.value, key=item.key, partition=copy.partition)
            sending.add_done_callback(partial(self._answered, copy))

    def _answered(self, copy: Copy, sending: asyncio.Future[Any]) -> None:
        if sending.cancelled() or sending.exception() is not None:
            self._failed = True
            return
        landed = sending.result()
        copy.outcome, copy.landed = "acked", (landed.partition, landed.offset)
        self._in_hand.pop(id(copy), None)


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop a producer that perhaps never can flush: an idempotent batch is retried for ever, and `stop` would wait for it."""
    with suppress(KafkaError):
        try:
            await asyncio.wait_for(producer.flush(), _STOP_S)
            await producer.stop()
        except TimeoutError:
            await producer._sender.close()
            await producer.client.close()
            producer._closed = True
