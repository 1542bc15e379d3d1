"""What becomes of letters when they are replayed, and which numbers that moves: asked of ClickHouse, page by page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.agents.repair_panes import OLDEST_REPAIRABLE_MS
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.repeats import WINDOW_OFFSETS, RepeatWindow
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair import first_received_ms
from pipeline.clickhouse.state import Progress, load_counted
from pipeline.dead_letters.letters import Ready, prepare
from pipeline.dead_letters.moves import Effect, Moves, Series
from pipeline.dead_letters.stored import first_copies, stored_exposures, stored_series, stored_user_days
from pipeline.dead_letters.trial import Trial, identity
from pipeline.runtime.clock import Clock
from schemas.dead_letter import DeadLetter
from schemas.event import BadEvent


@dataclass(slots=True)
class Plan:
    """Of a page: what to publish, in order, how many are stored already, why the others are no events, and how many are left over."""

    ready: list[Ready] = field(default_factory=list)
    stored: int = 0
    refused: list[BadEvent] = field(default_factory=list)
    left: int = 0


class Planner:
    """`moves` sums up what all plans so far bring about."""

    def __init__(self, client: Client, progress: Mapping[int, Progress], clock: Clock, fixes: Sequence[str]) -> None:
        """`progress` is how far the partitions have been read; `fixes` are names of `FIXES`, applied in order."""
        self._client, self._progress, self._clock, self._fixes = client, progress, clock, fixes
        self._trials: dict[int, Trial] = {}
        self._hours: dict[tuple[int, int], bool] = {}
        self.moves = Moves()

    async def plan(self, letters: Sequence[DeadLetter], most: int) -> Plan:
        """What a replay of `letters`, until `most` are published, does after all those planned before.

        Raises RetryAfter, Stop when ClickHouse does not answer.
        """
        plan, effects = Plan(), list[Effect]()
        prepared = [prepare(letter, self._fixes) for letter in letters]
        copies = await first_copies(self._client, {identity(one.event) for one in prepared if isinstance(one, Ready)})
        now_ms = self._clock.now_ms()
        for place, one in enumerate(prepared):
            if len(plan.ready) == most:
                plan.left = len(prepared) - place
                break
            verdict = (await self._trial(one.partition)).fold(one, now_ms, copies) if isinstance(one, Ready) else one
            if isinstance(verdict, BadEvent):
                plan.refused.append(verdict)
            elif verdict is None or isinstance(one, BadEvent):
                plan.stored += 1
            else:
                plan.ready.append(one)
                effects.append(verdict)
        await self._add(effects)
        return plan

    async def _trial(self, partition: int) -> Trial:
        """With the repeat window a worker has, and without panes: those of the events are looked at alone."""
        if partition not in self._trials:
            reached = self._progress.get(partition, Progress(0, 0))
            counted = await load_counted(self._client, partition, reached.position - WINDOW_OFFSETS, reached.position)
            repeats = RepeatWindow()
            repeats.load(counted.event_ids, counted.offsets, counted.content_hashes, reached.position)
            self._trials[partition] = Trial(PartitionState(partition, reached.position, reached.watermark_ms, Panes(), repeats))
        return self._trials[partition]

    async def _add(self, effects: Sequence[Effect]) -> None:
        moves = self.moves
        moves.add_events(effects)
        await self._judge_hours({(effect.partition, effect.hour_ms) for effect in effects if effect.is_late})
        moves.hours_too_old |= {hour for hour, is_too_old in self._hours.items() if is_too_old}
        counting = [effect for effect in effects if not (effect.is_late and self._hours[effect.partition, effect.hour_ms])]
        wanted: dict[int, set[Series]] = defaultdict(set)
        for effect in counting:
            wanted[effect.partition] |= {(pane.start_ms, pane.metric, pane.labels) for pane in effect.panes}
        moves.add_panes(counting, await stored_series(self._client, wanted))
        users = sorted({user_id for effect in effects for user_id, _ in effect.user_days})
        subjects = sorted({key for effect in effects for key in effect.exposures})
        moves.add_facts(effects, await stored_user_days(self._client, users), await stored_exposures(self._client, subjects))

    async def _judge_hours(self, late: set[tuple[int, int]]) -> None:
        """Which hours of late events no repair touches."""
        oldest_ms = self._clock.now_ms() - OLDEST_REPAIRABLE_MS
        by_partition: dict[int, list[int]] = defaultdict(list)
        for partition, hour_ms in sorted(late - self._hours.keys()):
            by_partition[partition].append(hour_ms)
        for partition, hours_ms in by_partition.items():
            first_ms = await first_received_ms(self._client, partition, hours_ms)
            self._hours |= {(partition, hour_ms): first_ms.get(hour_ms, oldest_ms) < oldest_ms for hour_ms in hours_ms}
