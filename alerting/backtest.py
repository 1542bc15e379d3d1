"""`telemetry rules backtest`: rule sets over recorded flushes, as the alerter would have judged them.

Flushes are those that Kafka still has in `panes.v1` (3 days): what ClickHouse keeps of panes does not say when they came. What ClickHouse
answered then is on `decisions.v1`, what people asked for on `commands.v1`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiokafka.structs import ConsumerRecord

from alerting.config.load import AlertingConfig
from alerting.engine.judge import bucketed_metrics_of, metrics_of
from alerting.engine.reading import parse_flush_for
from alerting.loading import parsed
from alerting.past import CLOCKS_DIFFER_MS, PAGE_RECORDS
from alerting.replay import Replay, first_flush_ms
from pipeline.runtime.errors import Stop
from pipeline.runtime.topic_tail import pages_to_end
from schemas import topics
from schemas.alert import Alert, parse_alert
from schemas.command import Command, parse_command
from schemas.decision import Reading, parse_decision
from schemas.timestamps import isoformat_of
from schemas.timestamps import to_ms as instant_ms

#: A baseline is asked for once an hour.
_READINGS_BEFORE_MS: Final = 2 * 3_600_000
_IS_READING: Final = b'"kind":"reading"'
_IS_ACKNOWLEDGED: Final = b'"state":"acknowledged"'

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of the period [from_ms, to_ms) under each rule set. acknowledged: (ms, alert) of what people really worked on."""

    from_ms: int
    to_ms: int
    flushes: int
    readings: int
    commands: int
    replays: tuple[Replay, ...]
    acknowledged: tuple[tuple[int, Alert], ...]


async def backtest(
    bootstrap_servers: str, configs: Sequence[tuple[str, AlertingConfig]], from_ms: int, to_ms: int, progress: Progress
) -> Backtest:
    """Replay the period for each of `configs`, all in one pass. `progress` is told how far it has come, in ms of the log.

    Raises:
        RetryAfter: Kafka does not answer any more.
        Stop: Kafka does not have the period any more, or does not answer at all.
    """
    since_ms = min(first_flush_ms(config, from_ms) for _, config in configs)
    complete_from_ms = await _complete_from(bootstrap_servers, from_ms, since_ms)
    commands = await _commands(bootstrap_servers, to_ms)
    replays = tuple(Replay(name, config, from_ms, complete_from_ms, commands) for name, config in configs)
    readings = await _readings(bootstrap_servers, since_ms - _READINGS_BEFORE_MS, to_ms)
    to_come = deque(readings)
    rules = [rule for _, config in configs for rule in config.rules]
    metrics, bucketed, flushes = metrics_of(rules), bucketed_metrics_of(rules), 0
    async with aclosing(_records(bootstrap_servers, topics.PANES.name, since_ms, to_ms)) as records:
        async for record in records:
            flush = parsed(record, lambda value: parse_flush_for(value, metrics, bucketed))
            _feed(replays, to_come, record.timestamp)
            progress(record.timestamp)
            if flush is not None:
                flushes += record.timestamp >= from_ms
                for replay in replays:
                    replay.flush(flush, record.timestamp)
    _feed(replays, to_come, to_ms)
    for replay in replays:
        replay.end(to_ms - 1)
    return Backtest(
        from_ms=from_ms,
        to_ms=to_ms,
        flushes=flushes,
        readings=sum(at_ms >= from_ms for at_ms, _ in readings),
        commands=sum(at_ms >= from_ms for at_ms, _ in commands),
        replays=replays,
        acknowledged=await _acknowledged(bootstrap_servers, from_ms, to_ms),
    )


def _feed(replays: Sequence[Replay], to_come: deque[tuple[int, Reading]], until_ms: int) -> None:
    """What ClickHouse answered between flushes, up to `until_ms`."""
    while to_come and to_come[0][0] <= until_ms:
        at_ms, reading = to_come.popleft()
        for replay in replays:
            replay.reading(reading, at_ms)


async def _complete_from(bootstrap_servers: str, from_ms: int, since_ms: int) -> int:
    """Event time from which on the log has every pane. Raises Stop when it does not reach back to `from_ms`."""
    async with aclosing(pages_to_end(bootstrap_servers, topics.PANES.name, most_records=1)) as pages:
        async for page in pages:
            for record in page.records:
                if record.offset == 0:
                    return 0
                if record.timestamp > from_ms:
                    raise Stop(f"panes.v1 goes back to {isoformat_of(record.timestamp)}; what is older cannot be replayed")
                return max(since_ms, int(record.timestamp)) + CLOCKS_DIFFER_MS
    raise Stop("panes.v1 is empty: no worker has flushed anything in the last three days")


async def _records(bootstrap_servers: str, topic: str, since_ms: int, to_ms: int) -> AsyncGenerator[ConsumerRecord]:
    """Those with a timestamp in [since_ms, to_ms), in the order of the log."""
    async with aclosing(pages_to_end(bootstrap_servers, topic, most_records=PAGE_RECORDS, since_ms=since_ms)) as pages:
        async for page in pages:
            for record in page.records:
                if record.timestamp < to_ms:
                    yield record
            # Records are in the order of their timestamps but for that.
            if page.records and page.records[-1].timestamp >= to_ms + CLOCKS_DIFFER_MS:
                return


async def _readings(bootstrap_servers: str, since_ms: int, to_ms: int) -> list[tuple[int, Reading]]:
    """Each with the time at which the alerter took it in."""
    readings: list[tuple[int, Reading]] = []
    async with aclosing(_records(bootstrap_servers, topics.DECISIONS.name, since_ms, to_ms)) as records:
        async for record in records:
            decision = parsed(record, parse_decision) if _IS_READING in (record.value or b"") else None
            if decision is not None and decision.reading is not None:
                readings.append((instant_ms(decision.at), decision.reading))
    return sorted(readings, key=lambda one: one[0])


async def _commands(bootstrap_servers: str, to_ms: int) -> list[tuple[int, Command]]:
    async with aclosing(_records(bootstrap_servers, topics.COMMANDS.name, 0, to_ms)) as records:
        commands = [(record.timestamp, parsed(record, parse_command)) async for record in records]
    return [(at_ms, command) for at_ms, command in commands if command is not None]


async def _acknowledged(bootstrap_servers: str, from_ms: int, to_ms: int) -> tuple[tuple[int, Alert], ...]:
    async with aclosing(_records(bootstrap_servers, topics.ALERTS.name, from_ms, to_ms)) as records:
        alerts = [(record.timestamp, parsed(record, parse_alert)) async for record in records if _IS_ACKNOWLEDGED in (record.value or b"")]
    return tuple((at_ms, alert) for at_ms, alert in alerts if alert is not None)
