"""Records that cannot be read: one line in the log and one dead letter each, and reading goes on. Anyone may write to a topic."""

from __future__ import annotations

from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from pipeline.runtime import metrics
from pipeline.runtime.clock import Clock
from pipeline.runtime.producer import Message, send_all
from schemas.dead_letter import DeadLetter, headers_to_keep
from schemas.topics import DLQ

log = structlog.get_logger(__name__)

ERROR_CODE: Final = "unreadable_record"
#: A key and a value longer than this together are cut: `dlq.v1` need not take whole what came in a compressed batch.
_LONGEST_BYTES: Final = 512 << 10
#: Letters that wait to be sent; what comes beyond is in the log only.
_KEPT: Final = 1_000
_AT_ONCE: Final = 100


def unreadable_letter(record: ConsumerRecord, error: ValueError, failed_at_ms: int) -> DeadLetter:
    """The dead letter of a record that is not what its topic holds. Made again from the same record it is the same letter."""
    key, value = record.key, record.value or b""
    if len(key or b"") + len(value) > _LONGEST_BYTES:
        key, value = key and key[: _LONGEST_BYTES // 2], value[: _LONGEST_BYTES // 2]
    return DeadLetter(
        kafka_topic=record.topic,
        kafka_partition=record.partition,
        kafka_offset=record.offset,
        failed_at_ms=failed_at_ms,
        error_code=ERROR_CODE,
        reason=reason_of(error),
        event_id="",
        event_type="",
        service="",
        key=key,
        value=value,
        record_headers=headers_to_keep(record.headers),
    )


def reason_of(error: ValueError) -> str:
    """What is wrong, in one line, and nothing of the value: it may hold anything."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return " ".join(str(error).split())[:300]


def letter_message(letter: DeadLetter) -> Message:
    """The letter as it goes to `dlq.v1`."""
    return Message(DLQ.name, value=letter.value, key=letter.key, headers=letter.headers())


class Unreadable:
    """Called with every record that cannot be read; what it keeps goes to `dlq.v1` with `send`.

    A topic that is read again by the same process is not reported again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._letters: list[DeadLetter] = []
        self._reported_to: dict[tuple[str, int], int] = {}

    def __call__(self, record: ConsumerRecord, error: ValueError) -> None:
        """Note the record; call in the order of its partition."""
        partition = (record.topic, record.partition)
        if record.offset < self._reported_to.get(partition, 0):
            return
        self._reported_to[partition] = record.offset + 1
        metrics.UNREADABLE.labels(record.topic).inc()
        log.error("record cannot be read, it is skipped", topic=record.topic, offset=record.offset, error=reason_of(error))
        if len(self._letters) < _KEPT:
            self._letters.append(unreadable_letter(record, error, self._clock.now_ms()))

    async def send(self, producer: AIOKafkaProducer) -> None:
        """Send what is noted. Raises RetryAfter when Kafka does not take it: it stays noted, call again."""
        while self._letters:
            group = self._letters[:_AT_ONCE]
            await send_all(producer, [letter_message(letter) for letter in group])
            del self._letters[: len(group)]
