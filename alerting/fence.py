"""Whether a process that writes a topic alone still does: a process that slept does not know that another took its place.

The broker refuses nobody: a process that lost its partition may go on writing, and does not learn of it before its next heartbeat. But it
knows how far the topics it writes have come; when they have come further, another one has written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, RecordMetadata

from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.kafka_errors import reaction
from pipeline.runtime.producer import Message, send_all
from pipeline.runtime.topic_tail import pages_to_end

#: Half the session timeout: a member that has not spoken for longer may have lost its partition soon.
FRESH_S: Final = 5.0
#: Records of others that are looked at together: anyone may write any number of them.
_PAGE_RECORDS: Final = 500
_AGAIN_S: Final = 0.2

Parse = Callable[[bytes], object]
ToldOf = Callable[[ConsumerRecord, ValueError], None]


class Fence:
    """Watches topics of one partition each, which this process and its predecessors alone write.

    After the topics have been read: `read_to` for each of them. Then everything that is written to them goes through `publish`.
    RetryAfter of any method: throw the state away, and read the topics again.
    """

    def __init__(self, bootstrap_servers: str, topics: Mapping[str, Parse], clock: Clock, unreadable: ToldOf) -> None:
        """A record of another counts when its topic's parser takes it; of the others `unreadable` is told, and nothing else follows."""
        self._bootstrap_servers, self._parsers, self._clock, self._unreadable = bootstrap_servers, dict(topics), clock, unreadable
        self._known: dict[TopicPartition, int] = {TopicPartition(topic, 0): 0 for topic in topics}
        self._asked_at = clock.monotonic()
        self._alone = asyncio.Lock()  # what is on its way to Kafka is not yet known, and would look like another's
        self._consumer: AIOKafkaConsumer | None = None

    def read_to(self, topic: str, offset: int) -> None:
        """Everything below `offset` of `topic` has been read."""
        self._known[TopicPartition(topic, 0)] = offset

    async def check(self) -> None:
        """Ask the broker how far the topics are. Raises RetryAfter when another process has written, or the broker does not answer."""
        async with self._alone:
            await self._check()

    def fresh(self) -> None:
        """Raises RetryAfter when the last answer is so old that another process may have been given the partition since."""
        age_s = self._clock.monotonic() - self._asked_at
        if age_s > FRESH_S:
            raise RetryAfter(f"the broker last answered {age_s:.1f} s ago, another process may act", _AGAIN_S)

    async def publish(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[RecordMetadata]:
        """Check, then send. Raises RetryAfter also when somebody else wrote meanwhile; Stop as `send_all`."""
        async with self._alone:
            await self._check()
            self.fresh()
            landed = await send_all(producer, messages, timeout_s=FRESH_S)
            for one in landed:
                await self._wrote(one)
            self.fresh()
            return landed

    async def close(self) -> None:
        """Let go of the connection; the next check makes another."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _check(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            ends = await asyncio.wait_for(self._ends(), FRESH_S)
        except (KafkaError, TimeoutError) as error:
            raise reaction(error, "asking whether another has written") from error
        for tp, end in ends.items():
            if end != self._known[tp]:
                await self._look(tp, end)
        self._asked_at = asked_at  # when the question left: what has happened since is not in the answer

    async def _ends(self) -> dict[TopicPartition, int]:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap_servers, enable_auto_commit=False)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(self._known))
        return ends

    async def _look(self, tp: TopicPartition, end: int) -> None:
        """At what came that this process has not written: what cannot be read is nobody's."""
        known = self._known[tp]
        if end < known:
            raise RetryAfter(f"{tp.topic} ends at {end}, {known} had been read: it was made anew", _AGAIN_S)
        pages = pages_to_end(self._bootstrap_servers, tp.topic, most_records=_PAGE_RECORDS, from_offset=known, until=end)
        async with aclosing(pages):
            async for page in pages:
                for record in page.records:
                    self._refuse_unless_garbage(tp, record)
        self._known[tp] = end

    def _refuse_unless_garbage(self, tp: TopicPartition, record: ConsumerRecord) -> None:
        try:
            self._parsers[tp.topic](record.value or b"")
        except ValueError as error:
            self._unreadable(record, error)
        else:
            raise RetryAfter(f"another process has written to {tp.topic} (offset {record.offset})", _AGAIN_S)

    async def _wrote(self, landed: RecordMetadata) -> None:
        tp = TopicPartition(landed.topic, landed.partition)
        if tp not in self._known:
            return
        if landed.offset != self._known[tp]:
            await self._look(tp, landed.offset)
        self._known[tp] = landed.offset + 1
