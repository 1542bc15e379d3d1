from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from alerting.context import LONGEST_S, ContextFinder
from alerting.context_query import context_query
from alerting.engine.rule import Rule, parse_rules
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import EVENTS_RAW
from pipeline.embedded.ports import free_port
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import ClickHouse
from schemas.alert import Alert, Context, ErrorClass, parse_alert
from schemas.timestamps import isoformat_of
from tests.integration.clickhouse.conftest import client, migrated, writer
from tests.integration.clickhouse.rows import DAY_MS, event_row, write

__all__ = ["client", "migrated", "writer"]

EXAMPLES = Path("schemas/examples/alert/valid")
WINDOW_MS = (DAY_MS + 600_000, DAY_MS + 660_000)
VERSION, TRACE_ID, FLAGS = 5, 9, 10


@dataclass(frozen=True)
class Sent:
    """An event of the window, as the test knows it."""

    release: str
    provider: str
    variant: str
    error_type: str | None
    duration_ms: float
    bot: bool = False
    at_ms: int = WINDOW_MS[0] + 1_000

    def row(self, number: int) -> list[Any]:
        outcome = "full" if self.error_type is None else "failed"
        properties = {"outcome": outcome, "provider": self.provider, "generation_time_ms": self.duration_ms, "error_type": self.error_type}
        bots = ["crawler"] if self.bot else []
        row = event_row(UUID(int=number), offset=number, occurred_ms=self.at_ms + number, properties=properties, bot_reasons=bots)
        row[VERSION], row[TRACE_ID], row[FLAGS] = self.release, f"{number:032x}", {"planner": self.variant}
        return row


def rule(condition: str, **more: Any) -> Rule:
    fields = {"name": "R", "condition": condition, "channels": ["slack-critical"], "severity": "critical", "runbook": "https://x.test/r"}
    (parsed,) = parse_rules(json.dumps({"rules": [fields | more]}))
    return parsed


def alert(term: str, labels: dict[str, str] | None = None, key: str = "a") -> Alert:
    """One that fires on the window; of all else the context knows nothing."""
    example = json.loads(next(iter(sorted(EXAMPLES.glob("*.json")))).read_text())
    window = {"window_from": isoformat_of(WINDOW_MS[0]), "window_to": isoformat_of(WINDOW_MS[1])}
    return parse_alert(
        json.dumps(example | window | {"rule": "R", "term": term, "labels": labels or {}, "incident_key": key * 64}).encode()
    )


@pytest.fixture
def finder(migrated: ClickHouse) -> Iterator[ContextFinder]:
    found = ContextFinder(migrated, SystemClock())
    yield found
    asyncio.run(found.close())


async def context(finder: ContextFinder, condition: str, term: str, labels: dict[str, str] | None = None, **more: Any) -> Context:
    one = alert(term, labels)
    return (await finder.find({"R": rule(condition, **more)}, [one]))[one.incident_key]


async def test_the_release_that_fails_is_the_suspect(client: Client, finder: ContextFinder) -> None:
    """Of 300 old and 100 new menus 6 and 40 fail; of other labels neither fails more often. Bots, other windows are left out."""
    old = [Sent("1.0.0", "ollama", "AB"[n % 2], "timeout" if n < 6 else None, 900) for n in range(300)]
    new = [Sent("1.1.0", "ollama", "AB"[n % 2], ("bad_json" if n % 4 else "timeout") if n < 40 else None, 900) for n in range(100)]
    bots = [Sent("1.0.0", "ollama", "A", "denied", 900, bot=True)] * 50
    earlier = [Sent("1.0.0", "ollama", "A", "denied", 900, at_ms=WINDOW_MS[0] - 60_000)] * 50
    rows = [sent.row(number) for number, sent in enumerate([*old, *new, *bots, *earlier], 1)]
    await write(client, EVENTS_RAW, rows)
    found = await context(finder, "error_rate > 5%", "error_rate > 5%")
    assert found.note == ""
    assert found.error_classes == (ErrorClass(error_type="bad_json", count=30), ErrorClass(error_type="timeout", count=16))
    (suspect,) = found.suspects
    assert (suspect.kind, suspect.value, suspect.errors, suspect.total) == ("release", "1.1.0", 40, 100)
    assert suspect.lift == pytest.approx((40 / 100) / (6 / 300))
    failing = {f"{number:032x}" for number in [*range(1, 7), *range(301, 341)]}
    assert len(set(found.trace_ids)) == 5
    assert set(found.trace_ids) <= failing


async def test_a_provider_and_a_flag_that_alone_are_slow(client: Client, finder: ContextFinder) -> None:
    """Nothing of the rest is slow, so their lift is null; the worst one of a kind with most events is first."""
    fast = [Sent("1.0.0", "ollama", "A", None, 900) for _ in range(100)]
    slow = [Sent("1.0.0", "claude", "B", None, 95_000) for _ in range(40)]
    await write(client, EVENTS_RAW, [sent.row(number) for number, sent in enumerate([*fast, *slow], 1)])
    found = await context(finder, "error_rate > 5% OR avg_time > 20s", "avg_time > 20s")
    assert [(s.kind, s.value, s.errors, s.total, s.lift) for s in found.suspects] == [
        ("flag", "planner=B", 40, 40, None),
        ("provider", "claude", 40, 40, None),
    ]
    assert found.error_classes == ()


async def test_only_the_series_and_the_selection_of_the_rule_are_looked_at(client: Client, finder: ContextFinder) -> None:
    """A share below its threshold, by provider: the failing ones are those that are not in the share, of this provider alone."""
    sent = [Sent("1.0.0", provider, "A", "timeout", 900) for provider in ("ollama", "claude") for _ in range(20)]
    await write(client, EVENTS_RAW, [one.row(number) for number, one in enumerate(sent, 1)])
    found = await context(
        finder, "full_success_rate < 50%", "full_success_rate < 50%", {"provider": "claude", "team": "menus"}, by=["provider"]
    )
    assert found.error_classes == (ErrorClass(error_type="timeout", count=20),)
    assert {int(trace_id, 16) for trace_id in found.trace_ids} <= set(range(21, 41))
    selected = await context(finder, 'error_rate{provider!="claude"} > 5%', 'error_rate{provider!="claude"} > 5%')
    assert selected.error_classes == (ErrorClass(error_type="timeout", count=20),)
    assert {int(trace_id, 16) for trace_id in selected.trace_ids} <= set(range(1, 21))


ASKABLE = [
    'api_error_rate{service="menu-api", route="/menus"} > 10%',
    "api_p95_time > 1s",
    "external_api_error_rate > 5%",
    "payment_failure_rate > 2%",
    "provider_error_rate > 10%",
    "health_check_failure_rate > 5%",
    "queue_exhausted_rate > 5%",
    "poor_vitals_share > 25%",
    "security_signals > 0",
    "feature_usage > 100",
    "fallback_share > 20%",
]


async def test_every_quantity_of_single_events_can_be_asked_about(client: Client) -> None:
    """ClickHouse understands the question; here it knows of no event."""
    for condition in ASKABLE:
        query = context_query(rule(condition), alert(condition))
        assert query is not None
        (row,) = await client.query(query.sql, query.parameters)
        assert (row["errors"], row["total"], row["classes"], row["trace_ids"]) == (0, 0, [], []), condition


async def test_the_events_may_come_while_the_alert_waits(client: Client, finder: ContextFinder) -> None:
    """A flush is published before its events are stored: the question is asked again until they are there."""

    async def late() -> None:
        await asyncio.sleep(0.25)
        await write(client, EVENTS_RAW, [Sent("1.0.0", "ollama", "A", "timeout", 900).row(1)])

    writing = asyncio.create_task(late())
    found = await context(finder, "error_rate > 5%", "error_rate > 5%")
    await writing
    assert (found.note, found.error_classes) == ("", (ErrorClass(error_type="timeout", count=1),))


async def test_of_many_alerts_at_once_some_go_without(client: Client, finder: ContextFinder) -> None:
    """A storm must not wait for itself: three are looked at, all are done within the second."""
    await write(client, EVENTS_RAW, [Sent("1.0.0", "ollama", "A", "timeout", 900).row(1)])
    storm = [alert("error_rate > 5%", key=key) for key in "abcdef"]
    began = time.monotonic()
    found = await finder.find({"R": rule("error_rate > 5%")}, storm)
    assert time.monotonic() - began < LONGEST_S + 0.5
    assert [found[one.incident_key].note[:9] for one in storm] == ["", "", "", "more than", "more than", "more than"]


async def test_without_clickhouse_an_alert_says_so_and_the_next_ones_do_not_wait() -> None:
    """A server that takes connections and never answers costs one alert a second, the next one nothing."""

    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    finder = ContextFinder(ClickHouse(url=f"http://127.0.0.1:{port}"), SystemClock())
    began = time.monotonic()
    found = await context(finder, "error_rate > 5%", "error_rate > 5%")
    assert time.monotonic() - began < LONGEST_S + 0.5
    assert found == Context(note="ClickHouse did not answer within a second")
    began = time.monotonic()
    assert await context(finder, "error_rate > 5%", "error_rate > 5%") == found
    assert time.monotonic() - began < 0.2
    server.close()
    await finder.close()


async def test_a_clickhouse_that_is_not_there_is_named() -> None:
    """The note says what is away, and nothing of the statement."""
    finder = ContextFinder(ClickHouse(url=f"http://127.0.0.1:{free_port()}"), SystemClock())
    found = await context(finder, "error_rate > 5%", "error_rate > 5%")
    assert found.note == "ClickHouse does not answer at TELEMETRY_CLICKHOUSE__URL (Connection refused)"
    await finder.close()


async def test_a_rule_that_is_gone_and_a_condition_without_events_say_so(finder: ContextFinder) -> None:
    """There is nothing to ask: of the age of flushes, of absence, of a reading, of a rule nobody has."""
    one = alert("error_rate > 5%")
    assert (await finder.find({}, [one]))[one.incident_key].note == "the condition is not about single events"
    for condition in ("flush_age > 30s", "absent(menus[10m])", "satisfaction_score[7d] < 4.0"):
        assert (await context(finder, condition, condition)).note == "the condition is not about single events"
