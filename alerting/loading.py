"""An alerter's state, read from the topics before it acts: what was said, and the flushes that led to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import ConsumerRecord

from alerting.config.load import AlertingConfig
from alerting.engine.engine import Engine, History, metrics_of
from alerting.engine.lifecycle import TOO_OLD_TO_PAGE_MS
from alerting.engine.reading import parse_flush_for
from pipeline.runtime.kafka_errors import reaction, unreachable
from pipeline.runtime.resume import Resume
from pipeline.runtime.topic_tail import read_to_end
from schemas import topics
from schemas.alert import parse_alert
from schemas.command import parse_command
from schemas.decision import parse_decision
from schemas.escalation import parse_escalation

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: Beyond the longest window and the age at which windows stop paging; the clocks of workers may differ.
_SLACK_MS: Final = 300_000
_CLOCKS_DIFFER_MS: Final = 5_000
#: Flushes so old are remembered without being judged again: what was true then has been false, or true again, since.
_OBSERVED_MS: Final = 300_000
_ANSWER_TIMEOUT_S: Final = 15.0


@dataclass(slots=True)
class Loaded:
    """An engine that knows everything up to `position` of `panes.v1` and `commands_from` of `commands.v1`."""

    engine: Engine
    position: int
    commands_from: int


async def load(bootstrap_servers: str, config: AlertingConfig, resume: Resume, now_ms: int) -> Loaded:
    """Read alerts, escalations, decisions and commands to their ends, and `panes.v1` as far back as rules look.

    Raises RetryAfter when Kafka does not answer (begin again), Stop when it never will.
    """
    position = max(resume.log_start, resume.log_start if resume.committed is None else resume.committed)
    history = History()
    await read_to_end(bootstrap_servers, topics.ALERTS.name, _alerts_into(history))
    await read_to_end(bootstrap_servers, topics.ESCALATIONS.name, into(history.escalations, parse_escalation))
    await read_to_end(bootstrap_servers, topics.DECISIONS.name, into(history.decisions, parse_decision))
    commands_from = await read_to_end(bootstrap_servers, topics.COMMANDS.name, into(history.commands, parse_command))
    longest_ms = max((rule.longest_window_ms for rule in config.rules), default=0)
    since_ms = now_ms - longest_ms - TOO_OLD_TO_PAGE_MS - _SLACK_MS
    # Nothing is missing if nothing was ever removed; else panes may be from before what is read again.
    engine = Engine(config.rules, config.chains, history=history, complete_from_ms=0 if position == 0 else since_ms)
    metrics, flushes = metrics_of(config.rules), 0
    async for record in _panes(bootstrap_servers, resume.tp, since_ms, resume.log_start, position):
        if flushes == 0:
            engine.board.complete_from_ms = 0 if record.offset == 0 else record.timestamp + _CLOCKS_DIFFER_MS
        flushes += 1
        with suppress(ValueError):  # reported when it was read first
            flush = parse_flush_for(record.value, metrics)
            (engine.observe if record.timestamp >= now_ms - _OBSERVED_MS else engine.remember)(flush)
    log.info("state is loaded", alerts=len(history.alerts), open=len(engine.open_alerts), flushes=flushes, position=position)
    return Loaded(engine, position, commands_from)


def _alerts_into(history: History) -> Callable[[ConsumerRecord], None]:
    def handle(record: ConsumerRecord) -> None:
        if (alert := parsed(record, parse_alert)) is not None:
            history.alerts.append((record.timestamp, alert))

    return handle


def into(values: list[T], parse: Callable[[bytes], T]) -> Callable[[ConsumerRecord], None]:
    def handle(record: ConsumerRecord) -> None:
        if (value := parsed(record, parse)) is not None:
            values.append(value)

    return handle


def parsed(record: ConsumerRecord, parse: Callable[[bytes], T]) -> T | None:
    """A record that cannot be read is nobody's state: anyone may write to a topic."""
    try:
        return parse(record.value or b"")
    except ValueError as error:
        log.error("record cannot be read, it is skipped", topic=record.topic, offset=record.offset, error=str(error).splitlines()[0])
        return None


async def _panes(bootstrap_servers: str, tp: TopicPartition, since_ms: int, log_start: int, until: int) -> AsyncIterator[ConsumerRecord]:
    """The records of `tp` from `since_ms` (their Kafka timestamp) to offset `until`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        try:
            await consumer.start()
        except KafkaConnectionError as error:
            raise unreachable(bootstrap_servers, error) from error
        consumer.assign([tp])
        try:
            found = await asyncio.wait_for(consumer.offsets_for_times({tp: max(0, since_ms)}), _ANSWER_TIMEOUT_S)
            position = max(log_start, until if found[tp] is None else min(until, found[tp].offset))
            consumer.seek(tp, position)
            while position < until:
                batches = await asyncio.wait_for(consumer.getmany(timeout_ms=200), _ANSWER_TIMEOUT_S)
                for record in batches.get(tp, []):
                    if record.offset < until:
                        yield record
                position = await consumer.position(tp)
        except (KafkaError, TimeoutError) as error:
            raise reaction(error, f"reading {tp.topic} again") from error
    finally:
        await consumer.stop()
