"""What can be seen of a running stack from outside: the topics, read by a consumer of its own, and what the stand-ins were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord

from pipeline.demo.board import Board
from pipeline.demo.receivers import Notice
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import Stop
from pipeline.runtime.kafka_errors import reaction, unreachable
from schemas.alert import Alert, parse_alert
from schemas.delivery import Delivery, parse_delivery
from schemas.escalation import Escalation, parse_escalation
from schemas.pane import parse_flush
from schemas.timestamps import to_ms
from schemas.topics import ALERTS, DELIVERIES, ESCALATIONS, EVENTS, PANES

T = TypeVar("T")
Seen = tuple[int, T]
"""(wall ms at which it was seen, what was seen)."""

_POLL_MS: Final = 100
_ASK_EVERY_S: Final = 0.2
_TOPICS: Final = (PANES.name, ALERTS.name, ESCALATIONS.name, DELIVERIES.name)


def not_observed(what: str) -> Stop:
    """Something that should have happened did not, in time."""
    return Stop(f"not observed: {what}")


class Observations:
    """Everything seen since `since_ms`, in the order in which it was seen; what older records say of other incidents is left out.

    has_caught_up: the topics have been read to where they ended when reading began.
    """

    def __init__(self, since_ms: int, clock: Clock) -> None:
        self.board = Board()
        self.alerts: list[Seen[Alert]] = []
        self.escalations: list[Seen[Escalation]] = []
        self.deliveries: list[Seen[Delivery]] = []
        self.notices: list[Notice] = []
        self.since_ms = since_ms
        self.has_caught_up = False
        self._clock = clock
        self._known: set[str] = set()
        self._news = asyncio.Condition()

    def notice(self, notice: Notice) -> None:
        """Told by the stand-ins."""
        self.notices.append(notice)

    def read(self, record: ConsumerRecord) -> None:
        """Take in one record; topics are at-least-once, so the first one of each id is kept."""
        with suppress(ValueError):  # anyone may write to a topic: what cannot be read is skipped, as the alerter does
            self._read(record.topic, record.value or b"", self._clock.now_ms())

    def _read(self, topic: str, value: bytes, now_ms: int) -> None:
        match topic:
            case PANES.name:
                self.board.fold(parse_flush(value))
            case ALERTS.name:
                alert = parse_alert(value)
                self._keep(self.alerts, alert, alert.transition_id, to_ms(alert.at), now_ms)
            case ESCALATIONS.name:
                event = parse_escalation(value)
                self._keep(self.escalations, event, event.escalation_id, to_ms(event.at), now_ms)
            case DELIVERIES.name:
                delivery = parse_delivery(value)
                identity = f"{delivery.delivery_id} {delivery.attempt} {delivery.outcome}"
                self._keep(self.deliveries, delivery, identity, to_ms(delivery.at), now_ms)

    async def follow(self, bootstrap_servers: str) -> None:
        """Read the topics from their start and on, until cancelled. Raises Stop or RetryAfter when Kafka does not answer."""
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await consumer.start()
            partitions = [TopicPartition(topic, 0) for topic in _TOPICS]
            ends = await consumer.end_offsets(partitions)
            consumer.assign(partitions)
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        self.read(record)
                if not self.has_caught_up:
                    self.has_caught_up = all([await consumer.position(tp) >= end for tp, end in ends.items()])
                async with self._news:
                    self._news.notify_all()
        except KafkaConnectionError as error:
            raise unreachable(bootstrap_servers, error) from error
        except KafkaError as error:
            raise reaction(error, "reading the topics") from error
        finally:
            await consumer.stop()

    async def until(self, what: str, seen: Callable[[], T | None], within_s: float) -> T:
        """The first answer of `seen` that is not None; it is asked whenever there may be news.

        Raises Stop with `what` when that takes longer than `within_s`.
        """
        try:
            async with asyncio.timeout(within_s):
                while (answer := seen()) is None:
                    async with self._news:
                        await self._news.wait()
        except TimeoutError:
            raise not_observed(f"{what} (waited {within_s:.0f} s)") from None
        return answer

    async def until_yes(self, what: str, ask: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Ask until the answer is yes. Raises Stop with `what` when that takes longer than `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                while not await ask():  # noqa: ASYNC110 - another process must get there: nothing to wait on
                    await asyncio.sleep(_ASK_EVERY_S)
        except TimeoutError:
            raise not_observed(f"{what} (waited {within_s:.0f} s)") from None

    def _keep(self, kept: list[Seen[T]], value: T, identity: str, at_ms: int, now_ms: int) -> None:
        if at_ms >= self.since_ms and identity not in self._known:
            self._known.add(identity)
            kept.append((now_ms, value))


async def end_offsets(bootstrap_servers: str) -> dict[int, int]:
    """Where each partition of events.v1 ends now. Raises Stop or RetryAfter when Kafka does not answer."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    try:
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(EVENTS.name, partition) for partition in range(EVENTS.partitions)])
        return {tp.partition: end for tp, end in ends.items()}
    except KafkaConnectionError as error:
        raise unreachable(bootstrap_servers, error) from error
    except KafkaError as error:
        raise reaction(error, "asking where events.v1 ends") from error
    finally:
        await consumer.stop()
