"""Kafka records reach a Faust agent as chunks; ledgers decide what is committed (decision 0001).

app = ShellApp("worker", settings)
chunks = app.channel(maxsize=0)                    # the source bounds what is open, not the queue
source = ChunkSource(chunks, "events.v1", bootstrap_servers="127.0.0.1:9092", group_id="worker", resume=load_state)
app.service(flusher)                               # services stop in reverse order: what finishes chunks comes first
app.service(source)

@app.agent(chunks)                                 # concurrency 1: the order inside a partition is part of the contract
async def fold(stream):
    async for chunk in stream:
        if chunk.abandoned:
            continue
        async with source.guard(chunk):            # an agent must never raise: Faust would go on with the next chunk
            ...                                    # make every effect durable, here or in another task, then
            chunk.done()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord
from mode import Service

from pipeline.runtime import bounded_batches, metrics
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.runtime.commits import commit
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.kafka_errors import reaction, unreachable
from pipeline.runtime.ledger import Chunk, Ledger
from pipeline.runtime.log_ends import LogEnd
from pipeline.runtime.ownership import Ownership, Ownerships, Watchdog
from pipeline.runtime.resume import ResumeAt, ask_broker, at_committed, check_readable

log = structlog.get_logger(__name__)

_POLL_MS = 200
_KEEP_PREFETCHED_S = 1.0  # pausing drops what aiokafka has prefetched, so short waits do without it
_ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a ChunkSource.

    `max_records_open` below twice (record rate x time until a chunk is done) caps the rate. `stuck_after_s` must be longer than
    any wait that `waiting_for` does not name.
    """

    chunk_records: int = 2_000
    chunk_bytes: int = 1 << 20
    max_records_open: int = 60_000
    max_bytes_open: int = 64 << 20
    commit_interval_s: float = 0.5
    drain_timeout_s: float = 5.0
    leave_timeout_s: float = 5.0
    stuck_after_s: float = 120.0
    session_timeout_s: float = 10.0
    log_end_interval_s: float = 0.5
    retry_delay_s: float = 0.5
    max_retry_delay_s: float = 10.0


class ChunkSource(Service, ConsumerRebalanceListener):
    """Reads one topic in a consumer group and puts a `Chunk` per partition and poll into a Faust channel."""

    def __init__(
        self,
        channel: Any,
        topic: str,
        *,
        bootstrap_servers: str,
        group_id: str,
        resume: ResumeAt = at_committed,
        waiting_for: Callable[[], str | None] = lambda: None,
        limits: Limits = Limits(),
        clock: Clock | None = None,
    ) -> None:
        """Give it to `app.service`.

        Args:
            channel: a Faust channel with maxsize 0 and one agent.
            topic: what to read.
            bootstrap_servers: "host:port", several separated by commas.
            group_id: the consumer group; also the client id the broker's logs show.
            resume: asked in the background, per partition, at every assignment and rewind, while the partition is paused. It may
                take as long as it must, is cancelled when the partition is lost, and ends the worker by raising Stop.
            waiting_for: names what an old open chunk waits for ("ClickHouse"); while it returns None the watchdog may bite.
            limits: bounds and times.
            clock: the machine's unless a test says otherwise.
        """
        super().__init__(beacon=channel.app.beacon)
        self.channel, self.topic, self.group_id, self.limits = channel, topic, group_id, limits
        self.consumer: AIOKafkaConsumer | None = None
        self._bootstrap_servers, self._resume_at, self._waiting_for = bootstrap_servers, resume, waiting_for
        self._clock: Clock = SystemClock() if clock is None else clock
        self._owned = Ownerships()
        self._assigned_once = self._throttled = False

    # What the owners of chunks ask and say

    def owned(self) -> dict[TopicPartition, Ledger]:
        """The partitions being read now, with the ledger of their ownership; those whose state still loads are left out."""
        return {tp: ledger for tp, ledger in self._owned.ledgers() if not ledger.abandoned}

    def not_ready(self) -> str | None:
        """What readiness waits for; None when every owned partition is being read (a standby owns none, and is ready)."""
        if not self._assigned_once:
            return f"partitions of {self.topic} from the group {self.group_id}"
        loading = len(self._owned) - len(dict(self._owned.ledgers()))
        return f"the state of {loading} partitions of {self.topic}" if loading else None

    def log_end(self, tp: TopicPartition) -> LogEnd | None:
        """The end of the partition's log as last learnt from the broker; None when it is not known in this ownership."""
        ownership = self._owned.get(tp)
        return None if ownership is None else ownership.log_ends.newest

    def caught_up_at_ms(self, tp: TopicPartition, position: int) -> int | None:
        """The latest wall time (ms) such that every record appended to `tp` before it lies below `position`.

        It moves on while the topic is idle, and stands still while the broker or this process does. None: not owned, or never
        seen at the end in this ownership. `position` is the caller's own (what it folded), and never goes back.
        """
        ownership = self._owned.get(tp)
        return None if ownership is None else ownership.log_ends.caught_up_at_ms(position)

    async def rewind(self, tp: TopicPartition) -> bool:
        """End this ownership of `tp`, commit what is committable, and read it again from there; `resume` is asked once more.

        Returns at once. False when the partition is not owned, or its state is loading already: it is read again anyway.
        """
        ownership = self._owned.get(tp)
        if ownership is None or ownership.ledger is None or ownership.ledger.abandoned:
            return False
        self._replace(ownership, Ownership(tp, self._clock.monotonic(), head_since=ownership.ledger.head_since()), "asked", 0.0)
        return True

    @asynccontextmanager
    async def guard(self, chunk: Chunk) -> AsyncIterator[Chunk]:
        """Whatever goes wrong inside, the chunk is not followed by the next one: its partition is rewound, after a growing delay.

        RetryAfter says how long the delay is. Stop ends the worker. Nothing is raised to the agent.
        """
        try:
            yield chunk
        except Stop as stop:
            self._owned.end_all()
            await self.crash(stop)
        except Exception as error:
            delay_s = self._failed(chunk, error)
            say = log.warning if isinstance(error, RetryAfter) else log.error
            where = {"topic": chunk.tp.topic, "partition": chunk.tp.partition, "offsets": f"{chunk.follows_on}-{chunk.last_offset}"}
            say("chunk failed, its partition is read again", **where, delay_s=delay_s, exc_info=error)

    def _failed(self, chunk: Chunk, error: Exception) -> float:
        ownership = self._owned.get(chunk.tp)
        if ownership is None or ownership.ledger is not chunk.ledger or chunk.abandoned:
            return 0.0  # the ownership is over: it is read again anyway
        after = ownership.successor(self._clock.monotonic())
        wanted_s = error.seconds if isinstance(error, RetryAfter) else self.limits.retry_delay_s * 2 ** min(after.failures - 1, 10)
        delay_s = min(wanted_s, self.limits.max_retry_delay_s)
        self._replace(ownership, after, "failed", delay_s)
        return delay_s

    # Start and stop

    async def on_start(self) -> None:
        self.channel.app.flow_control.resume()  # with Faust's Kafka off nobody else does, and put() would wait for ever
        if not self.channel.subscriber_count:
            raise RuntimeError("no agent reads the channel: Channel.put() would drop chunks without a word")
        bounded_batches.install()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            group_id=self.group_id,
            client_id=self.group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a reset would skip records without a word
            fetch_max_wait_ms=100,
            fetch_max_bytes=16 << 20,
            session_timeout_ms=int(self.limits.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self.limits.session_timeout_s * 250),
            rebalance_timeout_ms=15_000,
            request_timeout_ms=15_000,
        )
        try:
            await consumer.start()
        except KafkaConnectionError as error:
            await consumer.stop()
            raise unreachable(self._bootstrap_servers, error) from error
        self.consumer = consumer
        consumer.subscribe([self.topic], listener=self)

    async def on_stop(self) -> None:
        """Reading has ended (`should_stop`). Give open chunks a bounded time, commit, leave the group."""
        if self.consumer is None:
            return
        give_up = self._clock.monotonic() + self.limits.drain_timeout_s
        while self._owned.records_open() and self._clock.monotonic() < give_up:  # noqa: ASYNC110  ledgers are pure, nobody signals
            await asyncio.sleep(0.02)
        try:
            await self._commit(dict(self._owned.ledgers()).values())
        finally:
            self._owned.end_all()
            await self._leave(self.consumer)

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await asyncio.wait_for(consumer.stop(), self.limits.leave_timeout_s)
        except TimeoutError:  # a rebalance or a dead broker holds it up; the session timeout does the rest
            log.warning("did not leave the group in time", topic=self.topic, group_id=self.group_id)

    # Reading

    @Service.task
    async def _read(self) -> None:
        assert self.consumer is not None
        while not self.should_stop:
            if self._full():
                await self._wait_for_room(self.consumer)
            else:
                await self._poll(self.consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        try:
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self.limits.chunk_records)
        except NoOffsetForPartitionError:
            return  # aiokafka asked before the partition was paused; where to resume is on its way
        except OffsetOutOfRangeError as error:
            for tp in error.args[0]:
                await self.rewind(tp)  # resuming finds out what is missing, and says so
            return
        except KafkaError as error:
            raise reaction(error, f"reading {self.topic}") from error
        # No await from here to the last deliver(): a rebalance in between would mix the records of two ownerships.
        now = self._clock.monotonic()
        for chunk in [chunk for tp, records in batches.items() for chunk in self._deliver(tp, records, now)]:
            await self.channel.put(chunk)

    def _deliver(self, tp: TopicPartition, records: list[ConsumerRecord], now: float) -> Iterator[Chunk]:
        ownership = self._owned.get(tp)
        if ownership is None or ownership.ledger is None or ownership.ledger.abandoned:
            return  # fetched before the partition was paused; it is read again from where it resumes
        metrics.RECORDS_READ.labels(self.topic).inc(len(records))
        for part, size_bytes in split(records, self.limits.chunk_bytes):
            yield ownership.ledger.deliver(part, size_bytes, now)

    async def _wait_for_room(self, consumer: AIOKafkaConsumer) -> None:
        began = self._clock.monotonic()
        while self._full() and not self.should_stop:
            if self._clock.monotonic() - began < _KEEP_PREFETCHED_S:
                await asyncio.sleep(0.01)
                continue
            if not self._throttled:
                self._throttled = True
                metrics.THROTTLED.labels(self.topic).inc()
            consumer.pause(*consumer.assignment())
            await self._poll(consumer)  # or max.poll.interval expels this member
        self._throttled = False
        consumer.resume(*(tp for tp, ledger in self._owned.ledgers() if not ledger.abandoned))

    def _full(self) -> bool:
        return self._owned.records_open() >= self.limits.max_records_open or self._owned.bytes_open() >= self.limits.max_bytes_open

    # Committing and watching

    async def _commit(self, ledgers: Iterable[Ledger]) -> None:
        if self.consumer is not None:
            await commit(self.consumer, self.topic, ledgers)

    @Service.task
    async def _commit_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(self.limits.commit_interval_s)
            await self._commit(dict(self._owned.ledgers()).values())

    @Service.task
    async def _watch(self) -> None:
        watchdog = Watchdog(self.limits.stuck_after_s, self._clock.monotonic())
        while not self.should_stop:
            await self.sleep(min(1.0, self.limits.stuck_after_s / 4))
            now = self._clock.monotonic()
            self._owned.show(self.topic, now)
            watchdog.check(self._owned, self._waiting_for(), now)

    @Service.task
    async def _learn_log_ends(self) -> None:
        assert self.consumer is not None
        while not self.should_stop:
            await self.sleep(self.limits.log_end_interval_s)
            if ledgers := dict(self._owned.ledgers()):
                await self._learn(self.consumer, ledgers)

    async def _learn(self, consumer: AIOKafkaConsumer, ledgers: dict[TopicPartition, Ledger]) -> None:
        # Not the consumer's highwater: aiokafka stamps it when it handles the response, and in a process that was frozen that is
        # long after the broker gave it. The time the question left is never too late.
        asked_at_ms = self._clock.now_ms()
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(list(ledgers)), _ANSWER_TIMEOUT_S)
            for tp, ledger in ledgers.items():
                ownership = self._owned.get(tp)
                if ownership is None or ownership.ledger is not ledger:
                    continue
                end: int = ends[tp]
                if await consumer.position(tp) >= end:  # past transaction markers, which no chunk ever shows
                    end = min(end, ledger.expected)
                ownership.log_ends.learn(end, asked_at_ms)
        except (KafkaError, TimeoutError) as error:
            log.debug("ends of the log are not known", topic=self.topic, error=repr(error))

    # Owning partitions

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The protocol is eager: everything is revoked."""
        lost, self._owned = self._owned, Ownerships()
        lost.end_all()
        await self._or_crash(self._commit(dict(lost.ledgers()).values()))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Must not wait, or the whole group would: where to resume is asked in the background."""
        metrics.REBALANCES.labels(self.topic).inc()
        self._assigned_once = True
        await self._or_crash(self._take(list(assigned)))

    async def _take(self, assigned: list[TopicPartition]) -> None:
        assert self.consumer is not None
        for tp in assigned:
            self.consumer.pause(tp)
            self.consumer.seek(tp, 0)  # any position: without one aiokafka goes looking for its own, for ever
            self._start(Ownership(tp, self._clock.monotonic()))

    async def _or_crash(self, step: Awaitable[None]) -> None:
        """aiokafka only logs what a listener raises, and the partition would then be read by nobody."""
        try:
            await step
        except Exception as error:
            await self.crash(error)

    def _replace(self, ownership: Ownership, after: Ownership, reason: str, delay_s: float) -> None:
        assert self.consumer is not None
        ownership.end()
        metrics.REWINDS.labels(self.topic, reason).inc()
        self.consumer.pause(ownership.tp)
        self._start(after, ownership.ledger, delay_s)

    def _start(self, ownership: Ownership, before: Ledger | None = None, delay_s: float = 0.0) -> None:
        self._owned[ownership.tp] = ownership
        ownership.starting = self.add_future(self._begin(ownership, before, delay_s))

    async def _begin(self, ownership: Ownership, before: Ledger | None, delay_s: float) -> None:
        assert self.consumer is not None
        await asyncio.sleep(delay_s)
        if before is not None:
            await self._commit([before])
        resume = await ask_broker(self.consumer, ownership.tp)
        offset = await self._resume_at(resume)
        check_readable(resume, offset, self.group_id)
        if self._owned.holds(ownership):
            self.consumer.seek(ownership.tp, offset)
            ownership.ledger = Ledger(ownership.tp, offset, head_since=ownership.head_since)
            if not self._throttled:
                self.consumer.resume(ownership.tp)


def split(records: list[ConsumerRecord], max_bytes: int) -> Iterator[tuple[list[ConsumerRecord], int]]:
    """Cut one partition's records into runs of at most `max_bytes` of keys and values, with their size; a larger record is alone."""
    sizes = [len(record.value or b"") + len(record.key or b"") for record in records]
    if (total := sum(sizes)) <= max_bytes:
        yield records, total
        return
    part: list[ConsumerRecord] = []
    part_bytes = 0
    for record, size_bytes in zip(records, sizes, strict=True):
        if part and part_bytes + size_bytes > max_bytes:
            yield part, part_bytes
            part, part_bytes = [], 0
        part.append(record)
        part_bytes += size_bytes
    if part:
        yield part, part_bytes
