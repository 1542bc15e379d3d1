"""Records to Kafka: one lane per partition, each with one batch on its way, so that order is kept and waiting records share batches.

A request is answered when Kafka has all its records, or refused when that takes too long; what was sent may still arrive then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.gateway import limits, metrics
from pipeline.gateway.acceptance import Acceptance
from pipeline.gateway.claims import Claims
from pipeline.gateway.intake import Record
from pipeline.gateway.limits import Budget
from pipeline.runtime.clock import Clock, NewId
from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop
from pipeline.runtime.producer import stop_producer
from schemas.acceptance import ACCEPTED_BY
from schemas.partitioning import EVENT_PARTITIONS

log = structlog.get_logger(__name__)

Connect = Callable[[], Awaitable[AIOKafkaProducer]]

BATCH_BYTES: Final = 256 << 10
_RECONNECT_S: Final = 1.0
_CLAIM_INTERVAL_S: Final = 1.0
_LOG_APPEND_TIME: Final = 1


@dataclass(slots=True)
class _Request:
    """Records of one request that Kafka does not have yet; `done` is also set when nobody waits any more."""

    missing: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Lane:
    partition: int
    waiting: deque[tuple[Record, _Request]] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[Record, _Request]] = field(default_factory=list)
    sent_at: float = 0.0


class Publisher:
    """Publishes to `topic` with the producer that `connect` gives (started, idempotent, acks=all), and a new one when that one fails.

    Every record is marked with the id of its connection, and what Kafka has acknowledged is told in `accepted_count` events.
    """

    def __init__(self, topic: str, connect: Connect, clock: Clock, new_id: NewId) -> None:
        self._topic, self._connect, self._clock, self._new_id = topic, connect, clock, new_id
        self._claims = Claims(topic)
        self._lanes = [_Lane(partition) for partition in range(EVENT_PARTITIONS)]
        self._unacked = Budget(limits.MAX_UNACKED_BYTES, "on its way to Kafka")
        self._producer: AIOKafkaProducer | None = None
        self._reason = "Kafka"

    def waiting_for(self) -> str | None:
        """What keeps it from publishing, None when nothing does."""
        if self._producer is None:
            return self._reason
        return "Kafka (it does not acknowledge)" if self._stalled() else None

    async def publish(self, records: Mapping[int, Sequence[Record]]) -> None:
        """Return when Kafka has every record. Raises RetryAfter when it is away, too slow or too busy; some may then be there already.

        Args:
            records: key and value, by partition, each in the order it is to have there.
        """
        if self._producer is None or self._stalled():
            raise RetryAfter("Kafka does not answer; send the same request again")
        self._unacked.take(sum(_size(record) for group in records.values() for record in group))
        request = _Request(sum(map(len, records.values())), asyncio.get_running_loop().create_future())
        for partition, group in records.items():
            lane = self._lanes[partition]
            lane.waiting.extend((record, request) for record in group)
            lane.wake.set()
        metrics.UNACKED_BYTES.set(self._unacked.used)
        try:
            await asyncio.wait_for(request.done, limits.ACK_TIMEOUT_S)
        except TimeoutError:
            raise RetryAfter("Kafka did not acknowledge in time; send the same request again", limits.ACK_TIMEOUT_S) from None

    async def run(self) -> None:
        """Connect, send, connect again after a failure, until cancelled; then what Kafka has not acknowledged is given up."""
        while True:
            try:
                producer = await self._open()
            except ConfigurationError:
                raise
            except (Stop, KafkaError) as error:
                self._note(f"Kafka ({error})")
                await asyncio.sleep(_RECONNECT_S)
                continue
            await self._serve(producer)

    def _note(self, reason: str) -> None:
        if reason != self._reason:
            log.warning("cannot publish", reason=reason)
        self._reason = reason

    async def _open(self) -> AIOKafkaProducer:
        producer = await self._connect()
        self._reason = f"topic {self._topic} (`telemetry topics` creates it)"
        try:
            partitions = await producer.partitions_for(self._topic)
        except BaseException:
            await stop_producer(producer)
            raise
        if len(partitions) != EVENT_PARTITIONS:
            await stop_producer(producer)
            line = f"topic {self._topic} has {len(partitions)} partitions, not the {EVENT_PARTITIONS} of the key rule"
            raise ConfigurationError(f"{line}; create it with `telemetry topics`")
        return producer

    async def _serve(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        acceptance = Acceptance(self._new_id())
        log.info("publishing", topic=self._topic, source=acceptance.source)
        tasks = [asyncio.create_task(self._pump(lane, producer, acceptance)) for lane in self._lanes]
        tasks.append(asyncio.create_task(self._claim(producer, acceptance)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = next(iter(done)).exception()
            if not isinstance(error, KafkaError):
                raise error or AssertionError("a lane ended")
            self._note(f"Kafka (refused a batch: {type(error).__name__})")
        finally:
            self._producer = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._claims.add(acceptance.claims())
            await self._claims.send_last(producer)
            await stop_producer(producer)

    async def _claim(self, producer: AIOKafkaProducer, acceptance: Acceptance) -> None:
        while True:
            await asyncio.sleep(_CLAIM_INTERVAL_S)
            now = self._clock.monotonic()
            self._claims.add(acceptance.claims(min((lane.sent_at for lane in self._lanes if lane.sent), default=now)))
            await self._claims.send(producer)

    async def _pump(self, lane: _Lane, producer: AIOKafkaProducer, acceptance: Acceptance) -> None:
        marks = [(ACCEPTED_BY, acceptance.source.encode())]
        while True:
            await lane.wake.wait()
            batch: BatchBuilder = producer.create_batch()
            self._fill(batch, lane, marks)
            if not lane.sent:
                lane.wake.clear()
                continue
            lane.sent_at = self._clock.monotonic()
            try:
                landed = await (await producer.send_batch(batch, self._topic, partition=lane.partition))
            except BaseException:
                acceptance.lost_track(lane.sent_at)
                self._settle(lane, acknowledged=False)
                raise
            if landed.timestamp_type == _LOG_APPEND_TIME and landed.offset >= 0:
                acceptance.acknowledged(lane.partition, landed.offset, len(lane.sent), landed.timestamp, self._clock.monotonic())
            else:  # Kafka had it from an earlier attempt and has forgotten where, or the topic has another kind of stamp
                acceptance.lost_track(lane.sent_at)
            self._settle(lane, acknowledged=True)
            if landed.offset < 0:  # nothing more of this connection could be claimed: the next one has a source of its own
                raise KafkaError("Kafka does not say where it has a batch")

    def _fill(self, batch: BatchBuilder, lane: _Lane, marks: Sequence[tuple[str, bytes]]) -> None:
        """Move records of `lane` into `batch` until it is full; those whose request was given up are dropped."""
        waiting, sent = lane.waiting, lane.sent
        timestamp_ms = self._clock.now_ms()  # the topic's own stamp replaces it
        while waiting:
            record, request = waiting[0]
            if request.done.done():
                self._unacked.give_back(_size(record))
            elif batch.append(timestamp=timestamp_ms, key=record[0], value=record[1], headers=marks) is None:
                break
            else:
                sent.append(waiting[0])
            waiting.popleft()

    def _settle(self, lane: _Lane, *, acknowledged: bool) -> None:
        for record, request in lane.sent:
            self._unacked.give_back(_size(record))
            request.missing -= 1
            if request.done.done():
                continue
            if not acknowledged:
                request.done.set_exception(RetryAfter("Kafka refused the events for now; send the same request again"))
            elif request.missing == 0:
                request.done.set_result(None)
        lane.sent = []
        metrics.UNACKED_BYTES.set(self._unacked.used)

    def _stalled(self) -> bool:
        """Whether a batch has been on its way for longer than a request waits: the next ones need not try."""
        now = self._clock.monotonic()
        return any(lane.sent and now - lane.sent_at > limits.ACK_TIMEOUT_S for lane in self._lanes)


def _size(record: Record) -> int:
    return len(record[0]) + len(record[1]) + limits.RECORD_OVERHEAD_BYTES
