"""An alerter's state, read from the topics before it acts: what was said, and the flushes and readings that led to it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from alerting.config.load import AlertingConfig
from alerting.engine.engine import Engine, muted_ms
from alerting.engine.history import History
from alerting.engine.judge import bucketed_metrics_of, lookback_ms, metrics_of
from alerting.engine.lifecycle import TOO_OLD_TO_PAGE_MS
from alerting.engine.reading import parse_flush_for
from alerting.fence import Fence
from alerting.gathering import Gathered
from pipeline.runtime.clock import Clock
from pipeline.runtime.resume import Resume
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

#: Beyond the longest window and the age at which windows stop paging; the clocks of workers may differ.
_SLACK_MS: Final = 300_000
_CLOCKS_DIFFER_MS: Final = 5_000
#: Readings are asked anew every minute: those that came before, and do not come again, are told with these of the last minutes.
_DECISIONS_MS: Final = 600_000
_PAGE_RECORDS: Final = 2_000
#: What was judged at every flush is judged again every other second of the log, as idle partitions flush: a busy second has 120 of them.
_GATHERED_MS: Final = 2_000


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
        flushes = await self._look_back(engine, resume, position, stopped_ms, readings)
        log.info("state is loaded", alerts=len(history.alerts), open=len(engine.open_alerts), flushes=flushes, position=position)
        return Loaded(engine, position, resume.log_end, commands_from, judged_to=position)

    async def commands_since(self, loaded: Loaded, handle: Callable[[ConsumerRecord], None]) -> None:
        """What has been asked for while flushes were judged; moves `commands_from` on."""
        pages = pages_to_end(self.bootstrap_servers, topics.COMMANDS.name, from_offset=loaded.commands_from)
        async with aclosing(pages):
            async for page in pages:
                for record in page.records:
                    handle(record)
                loaded.commands_from = max(loaded.commands_from, page.position)

    async def _look_back(self, engine: Engine, resume: Resume, position: int, stopped_ms: int, readings: deque[tuple[int, Reading]]) -> int:
        """Show the engine what an earlier alerter acted on, in the order in which it came; how many flushes that were."""
        since_ms = stopped_ms - lookback_ms(self.config.rules) - TOO_OLD_TO_PAGE_MS - _SLACK_MS
        observed_from_ms = stopped_ms - muted_ms(self.config.rules)
        # Nothing is missing if nothing was ever removed; else panes may be from before what is read again.
        engine.complete_from_ms = 0 if position == 0 else since_ms
        gathered, until_ms, flushes = Gathered(self._metrics, self._bucketed), observed_from_ms, 0

        def show() -> None:
            take = engine.observe if until_ms > observed_from_ms else engine.remember
            for flush, at_ms in gathered.flushes():
                take(flush, at_ms)

        async with aclosing(self._panes(resume.tp, until=position, since_ms=since_ms)) as records:
            async for record in records:
                if flushes == 0:
                    engine.complete_from_ms = 0 if record.offset == 0 else record.timestamp + _CLOCKS_DIFFER_MS
                flushes += 1
                if record.timestamp >= until_ms or gathered.is_full:
                    show()
                    _observe(engine, readings, record.timestamp)
                    until_ms = max(until_ms, record.timestamp // _GATHERED_MS * _GATHERED_MS + _GATHERED_MS)
                with suppress(ValueError):  # reported when it was read first
                    gathered.add(record.value or b"", record.timestamp)
        show()
        _observe(engine, readings, None)
        return flushes

    async def _timestamp_before(self, resume: Resume, position: int) -> int:
        """When the last flush came that an earlier alerter has acted on, ms; now where there was none."""
        at_ms = self.clock.now_ms()
        async with aclosing(self._panes(resume.tp, until=position, from_offset=max(resume.log_start, position - 1))) as records:
            async for record in records:
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

    async def _panes(
        self, tp: TopicPartition, *, until: int, since_ms: int | None = None, from_offset: int = 0
    ) -> AsyncGenerator[ConsumerRecord]:
        """The records of `tp` from `since_ms` (their Kafka timestamp), or an offset, to offset `until`."""
        pages = pages_to_end(
            self.bootstrap_servers, tp.topic, most_records=_PAGE_RECORDS, from_offset=from_offset, since_ms=since_ms, until=until
        )
        async with aclosing(pages):
            async for page in pages:
                for record in page.records:
                    yield record

    def _alerts_into(self, history: History) -> Callable[[ConsumerRecord], None]:
        def handle(record: ConsumerRecord) -> None:
            if (alert := parsed(record, parse_alert)) is not None:
                history.alerts.append((record.timestamp, alert))

        return handle


def said(record: ConsumerRecord, error: ValueError) -> None:
    """Say in the log that a record cannot be read; whoever read it first has made a dead letter of it."""
    log.error("record cannot be read, it is skipped", topic=record.topic, offset=record.offset, error=reason_of(error))


def _observe(engine: Engine, readings: deque[tuple[int, Reading]], up_to_ms: int | None) -> None:
    """Those that came up to then, or all that are left."""
    while readings and (up_to_ms is None or readings[0][0] <= up_to_ms):
        at_ms, reading = readings.popleft()
        engine.observe_reading(reading, at_ms)


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
