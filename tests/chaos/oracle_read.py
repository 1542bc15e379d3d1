"""Waits until a stack has come to rest, and reads everything that is judged."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiokafka.errors import KafkaError

from tests.chaos.oracle_alerts import RULE, resolved
from tests.chaos.oracle_clickhouse import ClickHouse
from tests.chaos.oracle_kafka import EVENTS, PREFIX, committed_offsets, log_ends, read_topic
from tests.chaos.oracle_world import World
from tests.chaos.sent import PARTITIONS

_POLL_S: Final = 1.0
#: What must not change any more is looked at this many times in a row.
_LOOKS: Final = 3
_QUERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Where:
    """The stack to judge. `traces` is the folder of the workers' traces; `slack`, `pagerduty` are what the receivers recorded."""

    kafka: str
    clickhouse_url: str
    user: str
    password: str
    traces: Path | None = None
    slack: Path | None = None
    pagerduty: Path | None = None
    with_alerts: bool = True


async def read_world(where: Where, *, with_incident: bool, deadline_s: float) -> World:
    """Everything, once nothing moves any more; what still did at the deadline is in `unquiet`."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_QUERY_S)) as session:
        clickhouse = ClickHouse(session, where.clickhouse_url, where.user, where.password)
        unquiet = await _come_to_rest(where, clickhouse, with_incident and where.with_alerts, deadline_s)
        return await _read(where, clickhouse, unquiet)


async def _come_to_rest(where: Where, clickhouse: ClickHouse, with_incident: bool, deadline_s: float) -> list[str]:
    deadline = time.monotonic() + deadline_s
    seen: list[Hashable] = []
    while True:
        try:
            restless, numbers = await _look(where, clickhouse, with_incident)
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError, KafkaError) as error:
            restless, numbers = [f"cannot be asked: {type(error).__name__}: {error}"], None
        seen = [*seen[-_LOOKS + 1 :], numbers]
        if not restless and len(seen) == _LOOKS and len(set(seen)) == 1:
            return []
        if time.monotonic() > deadline:
            return restless or ["numbers still change"]
        await asyncio.sleep(_POLL_S)


async def _look(where: Where, clickhouse: ClickHouse, with_incident: bool) -> tuple[list[str], Hashable]:
    """What is not at rest, and numbers that must stay the same."""
    ends, committed, positions = await log_ends(where.kafka), await committed_offsets(where.kafka), await clickhouse.positions()
    restless = []
    for partition, end in ends.items():
        if end and (committed[partition] != end or positions.get(partition) != end):
            progress = f"committed {committed[partition]}, progress {positions.get(partition)}"
            restless.append(f"partition {partition} ends at {end}: {progress}")
    if stale := await clickhouse.stale_hours():
        restless.append(f"{stale} hours are stale")
    if with_incident:
        alerts_log = [record.value or b"" for record in await read_topic(where.kafka, PREFIX + "alerts.v1")]
        archived = {alert["state"] for alert in await clickhouse.alerts() if alert["rule"] == RULE}
        if not resolved(alerts_log) or not {"resolved", "retro_cleared"} & archived:
            restless.append(f"the incident of {RULE} is not over: the archive has {sorted(archived)}")
    counts = [await clickhouse.number(f"SELECT count() FROM {table}") for table in ("events", "dead_letters", "panes_raw")]
    return restless, (*sorted(ends.items()), *counts)


async def _read(where: Where, clickhouse: ClickHouse, unquiet: list[str]) -> World:
    alerts_log = await read_topic(where.kafka, PREFIX + "alerts.v1")
    flushes = await read_topic(where.kafka, PREFIX + "panes.v1")
    return World(
        log=await read_topic(where.kafka, EVENTS, PARTITIONS),
        log_ends=await log_ends(where.kafka),
        committed=await committed_offsets(where.kafka),
        dlq=await read_topic(where.kafka, PREFIX + "dlq.v1"),
        flushes=[record.value or b"" for record in flushes],
        alerts_log=[record.value or b"" for record in alerts_log],
        events=await clickhouse.events(),
        stored=await clickhouse.stored(),
        dead_letters=await clickhouse.dead_letters(EVENTS),
        pane_rows=await clickhouse.pane_rows(),
        error_rate=await clickhouse.error_rates("error_rate"),
        error_rate_total=await clickhouse.error_rates("error_rate_total"),
        latency=await clickhouse.latencies("latency"),
        latency_total=await clickhouse.latencies("latency_total"),
        first_exposures=await clickhouse.first_exposures(),
        user_days=await clickhouse.user_days(),
        accepted_and_stored=await clickhouse.accepted_and_stored(),
        alerts=await clickhouse.alerts(),
        slack=_recorded(where.slack),
        pagerduty=_recorded(where.pagerduty),
        with_alerts=where.with_alerts,
        unquiet=unquiet,
    )


def _recorded(path: Path | None) -> list[dict[str, Any]]:
    """Requests a receiver wrote down; the last line may be in the making."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
