"""Compares a period with its events, in all partitions, and repairs what differs, beside workers that may be running."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.agents.repair_horizon import Horizon, TopicEnds, settle
from pipeline.agents.repair_hours import Compared, Send, causes, compare, in_batches, version_of, write
from pipeline.agents.repair_panes import OLDEST_REPAIRABLE_MS, Difference, batches
from pipeline.aggregation.retention import UserDay, part_of_day
from pipeline.aggregation.watermark import HOUR_MS, hour_of, oldest_open
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair_check import Span, known_hours
from pipeline.clickhouse.repair_facts import FACTS_AT_ONCE, FactDifference, differing_facts, repair_facts
from pipeline.clickhouse.repair_marks import load_all_progress, load_stale
from pipeline.clickhouse.repair_user_days import (
    USER_DAYS_AT_ONCE,
    UserDayDifference,
    confirmed,
    differing_user_days,
    repair_user_days,
)
from pipeline.clickhouse.state import Progress
from pipeline.runtime.clock import Clock

#: So many differences of each kind are kept for the report; all are counted, and repaired.
KEPT: Final = 1_000
#: So long what has been appended is waited for to be read.
PATIENCE_S: Final = 10.0
#: Events whose facts are looked at by one query.
_MOST_EVENTS: Final = 2_000_000
#: A fact that is removed may uncover one that must be removed too: so often they are looked at.
_MOST_PASSES: Final = 5
#: Times an hour is compared again because a worker has repaired it meanwhile.
_MOST_OVERTAKEN: Final = 3


@dataclass(frozen=True, slots=True)
class PaneDifference:
    """A pane of one partition that is not as it should be, and why: `late` when a worker is about to repair it, else a `Cause`."""

    partition: int
    cause: str
    difference: Difference


@dataclass(slots=True)
class Report:
    """What came of it. Hours are partition-hours; `unrepaired` panes and facts differ still after a repair.

    `open_from_ms` maps partitions to the first instant of the period that was left out, because the pane is a worker's.
    """

    hours: int = 0
    events: int = 0
    pane_count: int = 0
    panes: list[PaneDifference] = field(default_factory=list)
    fact_count: int = 0
    facts: list[FactDifference] = field(default_factory=list)
    user_day_count: int = 0
    user_days: list[UserDayDifference] = field(default_factory=list)
    refused: list[tuple[int, int]] = field(default_factory=list)
    open_from_ms: dict[int, int] = field(default_factory=dict)
    unread_records: int = 0
    unrepaired: int = 0


class Reconciliation:
    """Of the hours [from_ms, to_ms). With `send`, which publishes, whatever differs is repaired; without it nothing is written.

    A repair writes what a worker's repair would, with the version of the offset that was read: it is overruled by any worker that has
    read on, and itself overrules only those that had read less. Open panes are never touched.
    """

    def __init__(self, client: Client, send: Send | None, clock: Clock, from_ms: int, to_ms: int) -> None:
        self._client, self._send, self._clock = client, send, clock
        self._from_ms, self._to_ms = from_ms, to_ms
        self._received_from_ms = clock.now_ms() - OLDEST_REPAIRABLE_MS
        self._progress: dict[int, Progress] = {}
        self._late: Mapping[tuple[int, int], int] = {}
        self.report = Report()

    async def run(self, ends: TopicEnds, on_total: Callable[[int], None], on_done: Callable[[int], None]) -> Report:
        """Compare and repair; `on_total` is told how many partition-hours there are, `on_done` how many have just been done."""
        # Until everything appended so far has been read first copies may be missing that others are compared with.
        horizon = Horizon()
        self._progress = await settle(horizon, self._client, ends, self._clock, PATIENCE_S)
        self.report.unread_records = horizon.unread(self._progress)
        self._late = await load_stale(self._client, self._progress)
        spans = self._spans()
        known = await known_hours(self._client, spans) if spans else {}
        hours = {partition: [h for h in known if span.from_ms <= h < span.to_ms] for partition, span in spans.items()}
        on_total(sum(map(len, hours.values())))
        for partition, hours_ms in hours.items():
            for group in await in_batches(self._client, partition, hours_ms) if hours_ms else []:
                await self._compare_panes(partition, group)
                on_done(len(group))
        for group in batches(known, _MOST_EVENTS):
            await self._compare_facts(group[0], group[-1] + HOUR_MS)
        events_by_part: dict[int, int] = defaultdict(int)
        for hour_ms, events in known.items():
            events_by_part[part_of_day(hour_ms)] += events
        for parts_ms in batches(events_by_part, _MOST_EVENTS):
            await self._compare_user_days(parts_ms)
        return self.report

    def _spans(self) -> dict[int, Span]:
        spans = {}
        for partition, reached in self._progress.items():
            open_from_ms = max(oldest_open(reached.watermark_ms), 0)
            if open_from_ms < self._to_ms:
                self.report.open_from_ms[partition] = max(open_from_ms, self._from_ms)
            to_ms = min(self._to_ms, -(-open_from_ms // HOUR_MS) * HOUR_MS)
            if to_ms > self._from_ms:
                spans[partition] = Span(self._from_ms, to_ms, reached.position)
        return spans

    async def _compare_panes(self, partition: int, hours_ms: Sequence[int]) -> None:
        compared = await self._compare(partition, hours_ms)
        report, found = self.report, compared.differences
        report.hours += len(hours_ms) - len(compared.refused)
        report.events += compared.events
        report.refused += [(partition, hour_ms) for hour_ms in compared.refused]
        report.pane_count += len(found)
        for cause, alike in (await causes(self._client, partition, hours_ms, found)).items():
            for difference in alike[: KEPT - len(report.panes)]:
                is_late = (partition, hour_of(difference.right.start_ms)) in self._late
                report.panes.append(PaneDifference(partition, "late" if is_late else cause, difference))
        if self._send is not None and found:
            await write(self._client, self._send, partition, self._progress[partition], found)
            report.unrepaired += len((await self._compare(partition, hours_ms)).differences)

    async def _compare(self, partition: int, hours_ms: Sequence[int]) -> Compared:
        for _ in range(_MOST_OVERTAKEN):
            progress = self._progress[partition]
            compared = await compare(self._client, partition, progress, hours_ms, self._received_from_ms)
            if all(d.stored is None or d.stored.version <= version_of(progress) for d in compared.differences):
                break
            self._progress = await load_all_progress(self._client)
        return compared

    async def _compare_facts(self, from_ms: int, to_ms: int) -> None:
        for attempt in range(_MOST_PASSES):
            found = await self._fact_pass(from_ms, to_ms, is_first=attempt == 0)
            if not found or self._send is None:
                return
        self.report.unrepaired += found

    async def _fact_pass(self, from_ms: int, to_ms: int, *, is_first: bool) -> int:
        count, after, page = 0, ("", ""), None
        while page is None or len(page) == FACTS_AT_ONCE:
            page = await differing_facts(self._client, from_ms, to_ms, self._progress, self._received_from_ms, after)
            count += len(page)
            if is_first:
                self.report.fact_count += len(page)
                self.report.facts += page[: KEPT - len(self.report.facts)]
            if page and self._send is not None:
                await repair_facts(self._client, page)
            after = page[-1].key if page else after
        return count

    async def _compare_user_days(self, parts_ms: Sequence[int]) -> None:
        """Whole parts of days: an event that keeps one right may lie outside the period."""
        after: UserDay = ("", 0)
        page: Sequence[UserDayDifference] | None = None
        while page is None or len(page) == USER_DAYS_AT_ONCE:
            page = await differing_user_days(self._client, parts_ms, self._progress, self._received_from_ms, after)
            after = page[-1].active if page else after
            found = await confirmed(self._client, page)
            self.report.user_day_count += len(found)
            self.report.user_days += found[: KEPT - len(self.report.user_days)]
            if found and self._send is not None:
                await repair_user_days(self._client, found)
