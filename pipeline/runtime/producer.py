"""Sending to Kafka so that nothing is believed sent before every replica has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import RecordMetadata

from pipeline.runtime import metrics
from pipeline.runtime.errors import TelemetryError
from pipeline.runtime.kafka_errors import reaction, unreachable

SEND_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Without `partition` the key decides (murmur2, as every Kafka client does it)."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


async def start_producer(
    bootstrap_servers: str,
    client_id: str,
    *,
    compression: Literal["zstd"] | None = None,
    max_request_bytes: int = 1 << 20,
    max_batch_bytes: int = 16 << 10,
    linger_ms: int = 0,
) -> AIOKafkaProducer:
    """A started producer, idempotent, acks=all; the caller stops it. Raises Stop when no broker answers.

    Args:
        bootstrap_servers: "host:port", several separated by commas.
        client_id: the role, as the broker's logs show it.
        compression: "zstd" for large repetitive values.
        max_request_bytes: the largest message; the topic's max.message.bytes must allow it.
        max_batch_bytes: a batch of one partition takes no further message beyond this, before compression.
        linger_ms: how long a batch waits for company.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        compression_type=compression,
        max_request_size=max_request_bytes,
        max_batch_size=max_batch_bytes,
        linger_ms=linger_ms,
        request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
    )
    try:
        await producer.start()
    except BaseException as error:  # whoever waits may be cancelled meanwhile, and then nobody else could stop it
        await producer.stop()
        if isinstance(error, KafkaConnectionError):
            raise unreachable(bootstrap_servers, error) from error
        raise
    return producer


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Stop it, within two seconds also when Kafka is away; what is not acknowledged then is given up."""
    try:
        await asyncio.wait_for(producer.stop(), STOP_TIMEOUT_S)
    except TimeoutError:
        await producer._sender.close()  # else it retries for ever: an idempotent batch never expires
        await producer.client.close()


async def send_all(producer: AIOKafkaProducer, messages: Sequence[Message], *, timeout_s: float = SEND_TIMEOUT_S) -> list[RecordMetadata]:
    """Send `messages` and wait until Kafka has every one of them.

    Returns:
        Where each message landed, in the order given.

    Raises:
        RetryAfter: some or all may be missing, or may still arrive: send all of them again, readers must bear repeats.
        Stop: at least one will never be accepted (too large, not allowed, sequence lost).
    """
    try:
        return await asyncio.wait_for(_send(producer, messages), timeout_s)
    except (KafkaError, TimeoutError) as error:
        raise _failure(messages, error) from error


async def _send(producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[RecordMetadata]:
    sends: list[asyncio.Future[RecordMetadata]] = []
    try:
        for message in messages:
            headers = list(message.headers)
            sends.append(await producer.send(message.topic, message.value, message.key, message.partition, headers=headers))
        landed = await asyncio.gather(*sends)
    except BaseException:
        for send in sends:
            send.add_done_callback(_seen)
        raise
    for message in messages:
        metrics.SENT.labels(message.topic, "acknowledged").inc()
    return list(landed)


def _failure(messages: Sequence[Message], error: KafkaError | TimeoutError) -> TelemetryError:
    topics = sorted({message.topic for message in messages})
    for topic in topics:
        metrics.SENT.labels(topic, "failed").inc(sum(message.topic == topic for message in messages))
    return reaction(error, f"sending to {', '.join(topics)}")


def _seen(send: asyncio.Future[RecordMetadata]) -> None:
    """Only the first failure is raised; the others would else be reported as never retrieved."""
    if not send.cancelled():
        send.exception()
