"""The demo on a stack that runs: real rows and live menus, one incident, and the reckoning."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from pipeline.clickhouse.client import Client
from pipeline.demo import commands
from pipeline.demo.about import say_what_was_real
from pipeline.demo.board import Series
from pipeline.demo.comparison import Number
from pipeline.demo.incident import Incident
from pipeline.demo.menu_service import SERVICE, MenuService, ModelServer, Templates, closed_port
from pipeline.demo.observations import Observations, not_observed
from pipeline.demo.rates import Rates
from pipeline.demo.receivers import StandIns
from pipeline.demo.reckoning import compare, compare_at_rest, conclude, settle
from pipeline.demo.retail import SERVICE as RETAIL_SERVICE
from pipeline.demo.screen import Screen
from pipeline.demo.stage import Stack, WatchedRule, note_begin, read_begin
from pipeline.demo.warehouse import Warehouse
from pipeline.runtime.clock import Clock, new_id
from schemas.pane import PANE_MS

#: Twelve busy minutes without a gap: 618 rows of 18 customers. A longer stretch would not do: events more than 15 min behind the live
#: ones are not folded as they come, they are repaired later, an hour at a time.
FROM: Final = datetime(2011, 6, 8, 15, 21, tzinfo=UTC)
TO: Final = datetime(2011, 6, 8, 15, 33, tzinfo=UTC)
MENUS_PER_S: Final = 8.0

_LATE_MS: Final = 900_000
_REPLAY_MAY_LAST_S: Final = 30.0
_CAUGHT_UP_WITHIN_S: Final = 60.0
_METRICS: Final = {"menu_generation": "menus", "recipe_interaction": "recipe views"}


@dataclass(frozen=True, slots=True)
class Rows:
    """Item rows to replay: an NDJSON file, how many lines it has, and how many times as fast as they happened."""

    file: Path
    count: int
    speed: float


class Play:
    """One demo. `run` it once."""

    def __init__(self, stack: Stack, rule: WatchedRule, stand_ins: StandIns, rows: Rows, screen: Screen, clock: Clock) -> None:
        self._stack, self._rule, self._stand_ins, self._rows, self._screen, self._clock = stack, rule, stand_ins, rows, screen, clock
        self._observations = Observations(clock.now_ms(), clock)
        self._from_ms = _period_from(self._observations)
        self._client = Client(stack.clickhouse)
        self._warehouse = Warehouse(self._client)
        self._templates = Templates(stack.data_dir / "templates.json")
        self._incident = Incident(stack, rule, self._observations, self._templates, stand_ins.receivers, screen, clock)

    async def run(self) -> int:
        """Play it to its end; the exit code. Raises Stop with the first step that was not observed."""
        note_begin(self._stack.data_dir, self._observations.since_ms)
        self._stand_ins.on_notice = self._incident.on_notice
        timeout = aiohttp.ClientTimeout(total=10)
        try:
            with ExitStack() as held:
                async with aiohttp.ClientSession(timeout=timeout) as session, self._stand_ins.serving():
                    numbers = await self._act(self._menu_service(held, session))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            await self._client.close()
        self._screen.timeline(self._incident.timeline)
        say_what_was_real(self._screen, f"{self._rows.count:,}", f"{FROM.day} {FROM:%B %Y, %H:%M} to {TO:%H:%M}", self._stand_ins.receivers)
        return conclude(numbers, self._screen)

    def _menu_service(self, held: ExitStack, session: aiohttp.ClientSession) -> MenuService:
        chain = (ModelServer("ollama", closed_port(held)), ModelServer("claude", closed_port(held)), self._templates)
        url, key = self._stack.gateway_url, self._stack.write_key
        return MenuService(chain, session, url, key, self._clock, new_id, random.Random(), self._incident.on_sending)

    async def _act(self, menus: MenuService) -> list[Number]:
        rates = Rates(self._observations.board, _METRICS, self._from_ms, self._rule.window_ms)
        before = {series: totals.count for series, totals in (await self._warehouse.series(self._from_ms)).items()}
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._observations.follow(self._stack.kafka))
            showing = group.create_task(self._screen.live(lambda: rates.look(self._clock.now_ms())))
            replaying = group.create_task(self._replay())
            serving = group.create_task(menus.run(MENUS_PER_S))
            replay_ends_s = self._clock.monotonic() + (TO - FROM).total_seconds() / self._rows.speed
            await self._incident.play()
            menus.stop()
            await serving
            views = await self._end_of(replaying, replay_ends_s - self._clock.monotonic())
            showing.cancel()
            self._screen.heading("The traffic has stopped; numbers can be compared once every event is counted")
            await settle(self._stack, self._observations, self._warehouse)
            self._incident.note("every event is on panes.v1 and in ClickHouse")
            sent, board = _sent(menus, views, before), self._observations.board
            comparison = partial(compare, board, self._warehouse, self._from_ms, self._incident.alerts, sent)
            numbers = await compare_at_rest(self._stack, self._observations, self._warehouse, comparison)
            following.cancel()
        return numbers

    async def _replay(self) -> int:
        """Publish the item rows as a person would; how many were accepted."""
        arguments = ["publish", str(self._rows.file), "--speed", f"{self._rows.speed:g}", "--format", "json"]
        code, out, err = await commands.run(arguments, self._stack.data_dir)
        if code != 0:
            raise not_observed(f"{self._rows.count} item rows accepted: `telemetry publish` ended with {code}: {(err or out)[-300:]}")
        accepted: int = orjson.loads(out)["accepted"]
        self._incident.note(f"{accepted:,} of {self._rows.count:,} item rows are replayed and accepted")
        return accepted

    async def _end_of(self, replaying: asyncio.Task[int], left_s: float) -> int | None:
        """How many rows were accepted; None when their replay would last much longer and is cut short."""
        if left_s > _REPLAY_MAY_LAST_S:
            self._screen.event(
                "the item rows are not all replayed yet: at this speed it takes longer than the incident, so it is cut short"
            )
            replaying.cancel()
            await asyncio.gather(replaying, return_exceptions=True)
            return None
        try:
            return await asyncio.wait_for(replaying, 2 * _REPLAY_MAY_LAST_S)
        except TimeoutError:
            raise not_observed(f"the end of `telemetry publish {self._rows.file}`") from None


async def compare_again(stack: Stack, rule: WatchedRule, screen: Screen, clock: Clock) -> int:
    """Compare the numbers of a stack on which a demo has been played; the exit code. Raises Stop when that cannot be done."""
    observations = Observations(read_begin(stack.data_dir), clock)
    client = Client(stack.clickhouse)
    warehouse = Warehouse(client)
    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(observations.follow(stack.kafka))
            await observations.until("the ends of the topics", lambda: observations.has_caught_up or None, _CAUGHT_UP_WITHIN_S)

            def comparison() -> Awaitable[list[Number]]:
                alerts = [alert for _, alert in observations.alerts if alert.rule == rule.name]
                return compare(observations.board, warehouse, _period_from(observations), alerts, {})

            numbers = await compare_at_rest(stack, observations, warehouse, comparison)
            following.cancel()
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    finally:
        await client.close()
    return conclude(numbers, screen)


def _period_from(observations: Observations) -> int:
    """Start of the first pane that is compared: item rows of the replay are up to so much older than the demo."""
    return (observations.since_ms - _LATE_MS) // PANE_MS * PANE_MS


def _sent(menus: MenuService, views: int | None, before: Mapping[Series, int]) -> dict[Series, int]:
    """What must be counted since the period began: what was there before, and what the gateway accepted of this demo."""
    accepted = Counter(
        {Series.of("menu_generation", {"provider": provider, "outcome": outcome}): n for (provider, outcome), n in menus.accepted.items()}
    )
    accepted[Series.of("events", {"event_type": "menu_generated", "service": SERVICE})] = menus.accepted.total()
    if views is not None:
        accepted[Series.of("recipe_interaction", {"action": "view"})] = views
        accepted[Series.of("events", {"event_type": "recipe_view", "service": RETAIL_SERVICE})] = views
    return {series: count + before.get(series, 0) for series, count in accepted.items()}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is none of grouping: the others follow from it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
