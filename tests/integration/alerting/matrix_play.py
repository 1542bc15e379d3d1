"""The play: all is well but what users say, then worse in two steps, then well again. The topics hold what it was like."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.embedded.ports import free_port
from tests.integration.alerting.matrix_config import told_at_once, write_config
from tests.integration.alerting.matrix_events import DISPLAY, FLAG, RETURNING, hours_ahead, past, seventh_day
from tests.integration.alerting.matrix_table import TABLE, Row, Stage
from tests.integration.alerting.matrix_traffic import Services, services
from tests.integration.alerting.roles import read_topic, until
from tests.integration.worker.stack import Role, Stack, ready

Record = dict[str, Any]
#: A minute of readings ends, the next one knows nothing else; then there are slow machines.
WITHIN_S: Final = 180.0
#: They would be held back by an outage of menus.
_WORSE_MENUS: Final = {"Fallback Share High", "Performance Degradation"}


@dataclass(frozen=True, slots=True)
class Seen:
    """All records of the topics, the rules that had fired when a stage began, and by transition what the SQL of alerts returned."""

    alerts: list[Record]
    escalations: list[Record]
    decisions: list[Record]
    deliveries: list[Record]
    fired_before: dict[Stage, set[str]]
    answers: dict[str, Record]

    def states(self, row: Row) -> dict[tuple[tuple[str, str], ...], list[str]]:
        """Of each series of the rule, in order."""
        found: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for alert in self.alerts:
            if alert["rule"] == row.rule:
                found.setdefault(row.series_of(alert["labels"]), []).append(alert["state"])
        return found

    def untold(self, row: Row) -> set[str]:
        """Who should have been told at once and was not, unless another incident spoke for this one."""
        if row.held_by and any(one["kind"] == "suppression" and one["rule"] == row.rule for one in self.decisions):
            return set()
        due = {one["target"] for one in self.escalations if one["event"] == "step_due" and one["step"] == 0 and one["rule"] == row.rule}
        return told_at_once(row.rule) - due


async def play(stack: Stack, folder: Path) -> Seen:
    """Ends when every rule of the table has fired and is over; TimeoutError says which is missing."""
    worker, gateway_url = stack.start_worker(), await _gateway(stack)
    await until(lambda: ready(worker), "the worker is ready", 60)
    async with services(stack.kafka, gateway_url) as at_work:
        story = _Story(stack, at_work)
        await story.turns_bad("quiet")
        await story.begins(folder)
        await story.until(_rows("quiet"), _fires, "have not fired")
        await story.turns_bad("unwell")
        await asyncio.to_thread(_lose_rows, stack)
        await story.until([row for row in _rows("unwell") if row.rule in _WORSE_MENUS], _is_told, "have told nobody")
        await story.turns_bad("outage")
        everything = _rows("quiet", "unwell", "outage")
        await story.until(everything, _fires, "have not fired")
        await story.until(everything, _is_told, "have not told everybody")
        await story.asks()  # the past will have been another one once users are found to have come back
        await story.turns_good()
        await story.until(_rows("outage"), _is_over, "are not over")
        await story.stalls(worker)  # while answers of ClickHouse are waited for
        await story.until(TABLE, _is_over, "are not over")
        await story.asks()
        return await story.seen()


class _Story:
    def __init__(self, stack: Stack, at_work: Services) -> None:
        self._stack, self._services = stack, at_work
        self._fired_before: dict[Stage, set[str]] = {}
        self._answers: dict[str, Record] = {}

    async def seen(self) -> Seen:
        topics = ("alerts.v1", "escalations.v1", "decisions.v1", "deliveries.v1")
        alerts, escalations, decisions, deliveries = await asyncio.gather(*(read_topic(self._stack.kafka, topic) for topic in topics))
        return Seen(alerts, escalations, decisions, deliveries, self._fired_before, self._answers)

    async def until(self, rows: Sequence[Row], holds: Callable[[Seen, Row], bool], what: str) -> None:
        """TimeoutError names the rules of which it does not hold."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            seen = await self.seen()
            missing = [row.rule for row in rows if not holds(seen, row)]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{', '.join(missing)} {what}")
            await asyncio.sleep(1)

    async def asks(self) -> None:
        """What the SQL of every alert that is new returns."""
        for alert in (await self.seen()).alerts:
            if alert["sql"] and alert["transition_id"] not in self._answers:
                (self._answers[alert["transition_id"]],) = await asyncio.to_thread(self._stack.query, alert["sql"])

    async def begins(self, folder: Path) -> None:
        """First the present, then the past: it comes late, is repaired, and has to be known before it is asked for."""
        now_ms = time.time_ns() // 1_000_000
        await self._services.publish(past(now_ms))
        counted = "SELECT sum(count) AS n FROM telemetry.panes WHERE "
        usual = counted + f"metric = 'feature_exposure' AND labels['flag'] = '{FLAG}' AND start < now() - 86400"
        hour = counted + f"metric = 'events' AND labels['service'] = '{DISPLAY}' AND start BETWEEN now() - 3700 AND now() - 1000"
        await until(lambda: self._stack.one(usual) == 2 * 900 * len(hours_ahead(now_ms)), "what is usual is in the panes", 60)
        await until(lambda: self._stack.one(hour) >= 500, "the last hour is in the panes", 60)
        config = {"TELEMETRY_ALERTING__CONFIG_DIR": str(write_config(folder / "config", digest_in_s=75))}
        alerting = [self._stack.start(role, **config) for role in ("alerter", "notifier")]
        await until(lambda: all(map(ready, alerting)), "alerter and notifier are ready", 60)

    async def turns_bad(self, stage: Stage) -> None:
        self._fired_before[stage] = {alert["rule"] for alert in (await self.seen()).alerts}
        self._services.wrong |= {row.rule for row in _rows(stage)}

    async def turns_good(self) -> None:
        self._services.wrong.clear()
        await self._services.publish(seventh_day(time.time_ns() // 1_000_000, RETURNING))

    async def stalls(self, worker: Role) -> None:
        """No worker, until that has been noticed; and another one."""
        self._fired_before["stalled"] = {alert["rule"] for alert in (await self.seen()).alerts}
        await asyncio.to_thread(worker.stop)
        await self.until(_rows("stalled"), lambda seen, row: _fires(seen, row) and _is_told(seen, row), "has told nobody")
        self._stack.start_worker()


def _rows(*stages: Stage) -> list[Row]:
    return [row for row in TABLE if row.stage in stages]


def _fires(seen: Seen, row: Row) -> bool:
    return all("firing" in seen.states(row).get(row.series_of(series), []) for series in row.series)


def _is_told(seen: Seen, row: Row) -> bool:
    return not seen.untold(row)


def _is_over(seen: Seen, row: Row) -> bool:
    return all(seen.states(row).get(row.series_of(series), [""])[-1] == "resolved" for series in row.series)


def _lose_rows(stack: Stack) -> None:
    """What came in the last minute by way of the gateway, and has been stored, is gone."""
    old_enough = "received_at BETWEEN now64(3) - 60 AND now64(3) - 5"
    stack.query(f"DELETE FROM telemetry.events_raw WHERE event_type = 'nps_response' AND {old_enough}")


async def _gateway(stack: Stack) -> str:
    port = free_port()
    gateway = stack.start("gateway", TELEMETRY_GATEWAY__PORT=str(port))
    gateway.url = f"http://127.0.0.1:{port}"
    await until(lambda: ready(gateway), "the gateway is ready", 60)
    return gateway.url
