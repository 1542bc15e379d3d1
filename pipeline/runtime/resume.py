"""Where reading a partition begins when it is assigned or rewound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.kafka_errors import reaction

_ANSWER_TIMEOUT_S = 15.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Resume:
    """What the broker knows about a partition: the group's committed offset (None: never committed) and the log [log_start, log_end)."""

    tp: TopicPartition
    committed: int | None
    log_start: int
    log_end: int


ResumeAt = Callable[[Resume], Awaitable[int]]


async def at_committed(resume: Resume) -> int:
    """The committed offset, or the start of the log when nothing was committed yet."""
    return resume.log_start if resume.committed is None else resume.committed


def check_readable(resume: Resume, offset: int, group_id: str) -> None:
    """Raise Stop when the log does not reach from `offset` on: going on would skip records without a word."""
    name = f"{resume.tp.topic}-{resume.tp.partition}"
    move = f"kafka-consumer-groups --reset-offsets moves group {group_id}"
    if offset < resume.log_start:
        removed = f"offsets {offset} to {resume.log_start - 1}"
        raise Stop(f"{name}: retention removed records that were not read: {removed}; to go on without them, {move}")
    if offset > resume.log_end:
        raise Stop(
            f"{name}: the log ends at {resume.log_end}, before offset {offset} that was read: was the topic made anew? If so, {move}"
        )


async def ask_broker(consumer: AIOKafkaConsumer, tp: TopicPartition) -> Resume:
    """What the broker knows, asked until it answers. Raises Stop when it refuses to."""
    while True:
        try:
            return await asyncio.wait_for(_ask_once(consumer, tp), _ANSWER_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            answer = reaction(error, f"asking where to resume {tp.topic}-{tp.partition}")
            if not isinstance(answer, RetryAfter):
                raise answer from error
            log.warning(str(answer))
            await asyncio.sleep(answer.seconds)


async def _ask_once(consumer: AIOKafkaConsumer, tp: TopicPartition) -> Resume:
    committed = await consumer.committed(tp)
    starts = await consumer.beginning_offsets([tp])
    ends = await consumer.end_offsets([tp])
    return Resume(tp, committed, starts[tp], ends[tp])
