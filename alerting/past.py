"""The flushes and readings that an earlier alerter has acted on, shown to an engine in the order in which they came.

What is old enough to need no judging comes from ClickHouse when that has all of it, else from Kafka like the rest (decision 0012).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final

import structlog
from aiokafka.structs import ConsumerRecord

from alerting.engine.engine import Engine, muted_ms
from alerting.engine.judge import bucketed_metrics_of, lookback_ms, metrics_of
from alerting.engine.lifecycle import TOO_OLD_TO_PAGE_MS
from alerting.engine.rule import Rule
from alerting.gathering import Gathered
from alerting.joining import Join
from alerting.stored_panes import stored_panes
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import TelemetryError
from pipeline.runtime.settings import ClickHouse
from pipeline.runtime.topic_tail import Page, pages_to_end
from schemas import topics
from schemas.decision import Reading
from schemas.pane import Flush

log = structlog.get_logger(__name__)

Readings = deque[tuple[int, Reading]]

#: Those of workers, and a worker's and the broker's.
CLOCKS_DIFFER_MS: Final = 5_000
#: Records of a topic that are read in one go; then the rest of the process has a turn.
PAGE_RECORDS: Final = 2_000

#: Beyond the longest window and the age at which windows stop paging.
_SLACK_MS: Final = 300_000
#: What was judged at every flush is judged again every other second of the log, as idle partitions flush: a busy second has 120 of them.
_GATHERED_MS: Final = 2_000
#: Of the flushes that are not judged, so many are read from Kafka in any case: they say how far ClickHouse must be to stand for the others.
_JOIN_MS: Final = 30_000
#: Fewer are read from Kafka as soon as ClickHouse would answer.
FEW_FLUSHES: Final = 20_000


class Past:
    """Reads it from `panes.v1`, and from ClickHouse as the reader, for one start."""

    def __init__(
        self, bootstrap_servers: str, clickhouse: ClickHouse, rules: Sequence[Rule], clock: Clock, few_flushes: int = FEW_FLUSHES
    ) -> None:
        self._bootstrap_servers, self._clickhouse, self._clock = bootstrap_servers, clickhouse, clock
        self._metrics, self._bucketed = metrics_of(rules), bucketed_metrics_of(rules)
        self._muted_ms, self._looked_back_ms = muted_ms(rules), lookback_ms(rules) + TOO_OLD_TO_PAGE_MS + _SLACK_MS
        self._few_flushes = few_flushes

    async def show(self, engine: Engine, readings: Readings, position: int, stopped_ms: int) -> None:
        """Up to offset `position`, where the flush came at `stopped_ms`; `readings` by when they came, all are taken.

        Raises RetryAfter when Kafka does not answer: begin again with another engine.
        """
        began_s = self._clock.monotonic()
        since_ms, observed_from_ms = stopped_ms - self._looked_back_ms, stopped_ms - self._muted_ms
        join_ms = max(since_ms, observed_from_ms - _JOIN_MS)
        # Nothing is missing if nothing was ever removed; else panes may be from before what is read again.
        engine.complete_from_ms = 0 if position == 0 else since_ms
        gathered, join, until_ms, flushes = Gathered(self._metrics, self._bucketed), Join(), observed_from_ms, 0
        first: ConsumerRecord | None = None
        async with aclosing(self._flushes(position, join_ms)) as records:
            async for record in records:
                first, flushes = first or record, flushes + 1
                is_judged = until_ms > observed_from_ms
                if record.timestamp >= until_ms or gathered.is_full:
                    _show(gathered, engine.observe if is_judged else engine.remember)
                if record.timestamp >= until_ms:
                    if not is_judged:
                        await self._older(engine, join, first, since_ms, join_ms)
                    _observe(engine, readings, record.timestamp)
                    until_ms = record.timestamp // _GATHERED_MS * _GATHERED_MS + _GATHERED_MS
                with suppress(ValueError):  # reported when it was read first
                    reach = gathered.add(record.value or b"", record.timestamp)
                    if reach is not None:
                        join.note(reach)
        _show(gathered, engine.observe)
        _observe(engine, readings, None)
        log.info("the past is read", flushes=flushes, seconds=round(self._clock.monotonic() - began_s, 1))

    async def _older(self, engine: Engine, join: Join, first: ConsumerRecord, since_ms: int, join_ms: int) -> None:
        """Remember what came before the flush `first`, from `since_ms` on."""
        began_s = self._clock.monotonic()
        flushes = await self._flushes_between(since_ms, first.offset)
        read_from = (
            "ClickHouse" if flushes > self._few_flushes and await self._remember_stored(engine, join, since_ms, join_ms) else "Kafka"
        )
        if read_from == "ClickHouse":
            engine.complete_from_ms = since_ms + CLOCKS_DIFFER_MS
        else:
            await self._remember(engine, first, since_ms)
        log.info("older flushes are read", read_from=read_from, flushes=flushes, seconds=round(self._clock.monotonic() - began_s, 1))

    async def _remember_stored(self, engine: Engine, join: Join, since_ms: int, join_ms: int) -> bool:
        """False, and the log says why, when ClickHouse cannot stand for all of it."""
        stored = stored_panes(self._clickhouse, join, self._metrics, self._bucketed, since_ms, join_ms)
        try:
            async with aclosing(stored):
                async for panes in stored:
                    engine.remember_stored(panes)
        except TelemetryError as error:
            log.warning("older flushes are read from Kafka, which takes longer", why=str(error))
            return False
        return True

    async def _remember(self, engine: Engine, first: ConsumerRecord, since_ms: int) -> None:
        gathered = Gathered(self._metrics, self._bucketed)
        oldest: ConsumerRecord | None = None
        async with aclosing(self._flushes(first.offset, since_ms)) as records:
            async for record in records:
                oldest = oldest or record
                if gathered.is_full:
                    _show(gathered, engine.remember)
                with suppress(ValueError):
                    gathered.add(record.value or b"", record.timestamp)
        _show(gathered, engine.remember)
        oldest = oldest or first
        engine.complete_from_ms = 0 if oldest.offset == 0 else oldest.timestamp + CLOCKS_DIFFER_MS

    async def _flushes_between(self, since_ms: int, until: int) -> int:
        async with aclosing(self._pages(until, since_ms)) as pages:
            return until - min(until, (await anext(pages)).position)

    async def _flushes(self, until: int, since_ms: int) -> AsyncGenerator[ConsumerRecord]:
        """The records of `panes.v1` from `since_ms` (their Kafka timestamp) to offset `until`."""
        async with aclosing(self._pages(until, since_ms)) as pages:
            async for page in pages:
                for record in page.records:
                    yield record

    def _pages(self, until: int, since_ms: int) -> AsyncGenerator[Page]:
        return pages_to_end(self._bootstrap_servers, topics.PANES.name, most_records=PAGE_RECORDS, since_ms=since_ms, until=until)


def _show(gathered: Gathered, take: Callable[[Flush, int], None]) -> None:
    for flush, at_ms in gathered.flushes():
        take(flush, at_ms)


def _observe(engine: Engine, readings: Readings, up_to_ms: int | None) -> None:
    """Those that came up to then, or all that are left."""
    while readings and (up_to_ms is None or readings[0][0] <= up_to_ms):
        at_ms, reading = readings.popleft()
        engine.observe_reading(reading, at_ms)
