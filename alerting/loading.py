"""An alerter's state, read from the topics before it acts: what was said, and the flushes and readings that led to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
from aiokafka.structs import ConsumerRecord

from alerting.config.load import AlertingConfig
from alerting.engine.engine import Engine
from alerting.engine.history import History
from alerting.engine.judge import bucketed_metrics_of, metrics_of
from alerting.engine.reading import parse_flush_for
from alerting.fence import Fence
from alerting.past import Past
from pipeline.runtime.clock import Clock
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import ClickHouse
from pipeline.runtime.topic_tail import pages_to_end, read_to_end
from pipeline.runtime.unreadable import reason_of
from schemas import topics
from schemas.alert import parse_alert
from schemas.command import parse_command
from schemas.decision import Decision, Reading, parse_decision
from schemas.escalation import parse_escalation
from schemas.pane import Flush

log = structlog.get_logger(__name__)

T = TypeVar("T")
ToldOf = Callable[[ConsumerRecord, ValueError], None]

#: Readings are asked anew every minute: those that came before, and do not come again, are told with these of the last minutes.
_DECISIONS_MS: Final = 600_000


@dataclass(slots=True)
class Loaded:
    """An engine that knows what an earlier alerter has acted on: `panes.v1` up to `position`, `commands.v1` up to `commands_from`.

    Nobody is paged before `panes.v1` has been judged up to `begins_at`, its end as of the start: what is there may end an incident.
    judged_to: how far this alerter has come; caught_up: it has said what an earlier one left unsaid; begun: time acts;
    whole: all that the engine has said is on Kafka.
    """

    engine: Engine
    position: int
    begins_at: int
    commands_from: int
    judged_to: int
    caught_up: bool = False
    begun: bool = False
    whole: bool = True


@dataclass(slots=True)
class Loader:
    """Reads the topics for one alerter; what cannot be read is told to `unreadable`, and is nobody's state."""

    bootstrap_servers: str
    config: AlertingConfig
    fence: Fence
    clickhouse: ClickHouse
    clock: Clock
    unreadable: ToldOf
    _metrics: frozenset[str] = field(init=False)
    _bucketed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._metrics, self._bucketed = metrics_of(self.config.rules), bucketed_metrics_of(self.config.rules)

    def parse_flush(self, value: bytes) -> Flush:
        """A record of `panes.v1`, as far as rules need it. Raises ValueError for what no worker writes."""
        return parse_flush_for(value, self._metrics, self._bucketed)

    async def load(self, resume: Resume) -> Loaded:
        """Read alerts, escalations and commands to their ends, and flushes and readings as far back as rules look.

        Raises RetryAfter when Kafka does not answer (begin again), Stop when it never will.
        """
        position = max(resume.log_start, resume.log_start if resume.committed is None else resume.committed)
        history = History()
        stopped_ms = await self._timestamp_before(resume, position)
        commands_from, alerts_to, escalations_to, readings = await asyncio.gather(
            self._read(topics.COMMANDS.name, into(history.commands, parse_command, self.unreadable)),
            self._read(topics.ALERTS.name, self._alerts_into(history)),
            self._read(topics.ESCALATIONS.name, into(history.escalations, parse_escalation)),
            self._readings(stopped_ms - _DECISIONS_MS),
        )
        self.fence.read_to(topics.ALERTS.name, alerts_to)
        self.fence.read_to(topics.ESCALATIONS.name, escalations_to)
        engine = Engine(self.config.rules, self.config.policy, self.config.routing, history=history)
        past = Past(self.bootstrap_servers, self.clickhouse, self.config.rules, self.clock)
        await past.show(engine, readings, position, stopped_ms)
        log.info("state is loaded", alerts=len(history.alerts), open=len(engine.open_alerts), position=position)
        return Loaded(engine, position, resume.log_end, commands_from, judged_to=position)

    async def commands_since(self, offset: int) -> list[ConsumerRecord]:
        """What has been asked for while flushes were judged."""
        pages = pages_to_end(self.bootstrap_servers, topics.COMMANDS.name, from_offset=offset)
        async with aclosing(pages):
            return [record async for page in pages for record in page.records]

    async def _timestamp_before(self, resume: Resume, position: int) -> int:
        """When the last flush came that an earlier alerter has acted on, ms; now where there was none."""
        at_ms = self.clock.now_ms()
        pages = pages_to_end(self.bootstrap_servers, resume.tp.topic, from_offset=max(resume.log_start, position - 1), until=position)
        async with aclosing(pages):
            async for page in pages:
                for record in page.records:
                    at_ms = record.timestamp
        return at_ms

    async def _readings(self, since_ms: int) -> deque[tuple[int, Reading]]:
        decisions: list[tuple[int, Decision]] = []

        def keep(record: ConsumerRecord) -> None:
            if (decision := parsed(record, parse_decision)) is not None:
                decisions.append((record.timestamp, decision))

        await self._read(topics.DECISIONS.name, keep, since_ms=since_ms)
        return deque((at_ms, decision.reading) for at_ms, decision in decisions if decision.reading is not None)

    async def _read(self, topic: str, handle: Callable[[ConsumerRecord], None], *, since_ms: int | None = None) -> int:
        return await read_to_end(self.bootstrap_servers, topic, handle, since_ms=since_ms)

    def _alerts_into(self, history: History) -> Callable[[ConsumerRecord], None]:
        def handle(record: ConsumerRecord) -> None:
            if (alert := parsed(record, parse_alert)) is not None:
                history.alerts.append((record.timestamp, alert))

        return handle


def said(record: ConsumerRecord, error: ValueError) -> None:
    """Say in the log that a record cannot be read; whoever read it first has made a dead letter of it."""
    log.error("record cannot be read, it is skipped", topic=record.topic, offset=record.offset, error=reason_of(error))


def into(values: list[T], parse: Callable[[bytes], T], unreadable: ToldOf = said) -> Callable[[ConsumerRecord], None]:
    """A handler that appends what a record says to `values`."""

    def handle(record: ConsumerRecord) -> None:
        if (value := parsed(record, parse, unreadable)) is not None:
            values.append(value)

    return handle


def parsed(record: ConsumerRecord, parse: Callable[[bytes], T], unreadable: ToldOf = said) -> T | None:
    """A record that cannot be read is nobody's state: anyone may write to a topic."""
    try:
        return parse(record.value or b"")
    except ValueError as error:
        unreadable(record, error)
        return None
