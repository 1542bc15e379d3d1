"""Commands to Kafka: one is only acknowledged to whoever sent it when Kafka has it."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.waiting import Waiting
from schemas.command import Command, command_key
from schemas.topics import COMMANDS

#: Half of what Slack waits for an answer.
SEND_WITHIN_S: Final = 1.5
_CONNECT_AGAIN_S: Final = 1.0


class CommandSender:
    """Sends with one connection, and with a new one when that has failed."""

    def __init__(self, bootstrap_servers: str, clock: Clock) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._waiting = Waiting("sending commands to Kafka", clock)
        self._closing: set[asyncio.Task[None]] = set()

    def waiting_for(self) -> str | None:
        """What keeps it from sending, None when nothing does."""
        if self._waiting.reason is not None:
            return f"Kafka ({self._waiting.reason})"
        return "Kafka" if self._producer is None else None

    async def send(self, *commands: Command) -> None:
        """Return when Kafka has all of them. Raises RetryAfter otherwise: send the same again, a `command_id` is obeyed once."""
        producer = self._producer
        if producer is None:
            raise RetryAfter("Kafka does not answer; send the same again")
        messages = [Message(COMMANDS.name, one.model_dump_json().encode(), command_key(one).encode()) for one in commands]
        try:
            await send_all(producer, messages, timeout_s=SEND_WITHIN_S)
        except (RetryAfter, Stop) as away:
            self._waiting.goes_on(str(away))
            self._give_up(producer)
            raise RetryAfter("Kafka has not acknowledged the command; send the same again") from away
        self._waiting.over()

    async def run(self) -> None:
        """Connect, and again after a failure, until cancelled."""
        try:
            while True:
                if self._producer is None:
                    await self._connect()
                await asyncio.sleep(_CONNECT_AGAIN_S)
        finally:
            if self._producer is not None:
                await stop_producer(self._producer)
            await asyncio.gather(*self._closing)

    async def _connect(self) -> None:
        try:
            self._producer = await start_producer(self._bootstrap_servers, "nutricoach-console")
            self._waiting.over()
        except (Stop, KafkaError) as away:
            self._waiting.goes_on(str(away))

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        """With the commands in it, which it would else keep until Kafka is back; whoever waits for an answer does not wait for this."""
        if self._producer is producer:
            self._producer = None
            closing = asyncio.create_task(stop_producer(producer))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
