"""Services at work: what they send every second, as long as something is wrong with them, and while nothing is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiokafka import AIOKafkaProducer

from schemas.topics import EVENTS
from tests.contract.gateway.gateways import Client
from tests.integration.alerting.matrix_events import Event, event
from tests.integration.alerting.matrix_table import TABLE


class Services:
    """`wrong`: the rules whose row is sent as wrong now."""

    def __init__(self, producer: AIOKafkaProducer, gateway: Client) -> None:
        self.wrong: set[str] = set()
        self._producer, self._gateway = producer, gateway

    async def publish(self, events: Sequence[Event | bytes]) -> None:
        """To Kafka, as any producer may."""
        await asyncio.gather(*[await self._send(one) for one in events])

    async def work(self) -> None:
        """Second by second; a second for which there was no time is made up for."""
        second = int(time.time())
        while True:
            await asyncio.sleep(max(0.0, second - time.time()))
            await self.publish([one for row in TABLE for one in (row.wrong if row.rule in self.wrong else row.right)(second * 1_000)])
            accepted = await self._gateway.post([event(second * 1_000 + n, "nps_response", "web", score=9) for n in range(2)])
            assert accepted.status == 202, accepted
            second += 1

    async def _send(self, sent: Event | bytes) -> Awaitable[object]:
        value, key = (sent, "nobody") if isinstance(sent, bytes) else (json.dumps(sent).encode(), sent.get("user_id") or sent["session_id"])
        delivered: Awaitable[object] = await self._producer.send(EVENTS.name, value, key.encode())
        return delivered


@asynccontextmanager
async def services(kafka: str, gateway_url: str) -> AsyncIterator[Services]:
    """At work until the block ends; what goes wrong with them fails the block."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=5)
    await producer.start()
    try:
        async with aiohttp.ClientSession() as session:
            running = Services(producer, Client(gateway_url, session))
            task = asyncio.create_task(running.work())
            try:
                yield running
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                task.result()
    finally:
        await producer.stop()
