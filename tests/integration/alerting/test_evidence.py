from __future__ import annotations

import json
import random
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from pipeline.clickhouse.migrations import migrate
from pipeline.runtime.settings import ClickHouse, Settings
from schemas.timestamps import isoformat_of
from tests.integration.alerting.roles import environment, read_topic, role, until
from tests.receivers.server import Receiver
from tests.receivers.slack import slack
from tests.stack_fixtures import ClickHouseServer, embedded_clickhouse

MENUS = "Menu Generation Critical"


def query(server: ClickHouseServer, sql: str) -> list[dict[str, Any]]:
    """Rows of a SELECT as anybody gets them: over HTTP, without credentials."""
    parameters = {"default_format": "JSONEachRow", "output_format_json_quote_64bit_integers": "0"}
    request = urllib.request.Request(f"{server.url}/?{urllib.parse.urlencode(parameters)}", data=sql.encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [json.loads(line) for line in answer]


def menu(at_ms: int, outcome: str, duration_ms: float) -> tuple[str, dict[str, Any]]:
    user = f"u-{random.Random(at_ms).randrange(200)}"
    properties = {"recipe_count": 3, "restrictions": [], "generation_time_ms": duration_ms, "outcome": outcome, "provider": "ollama"}
    if outcome == "failed":
        properties["error_type"] = "timeout"
    source = {"service": "menu-api", "version": "1.0.0", "environment": "test"}
    return user, {
        "event_id": str(uuid.uuid4()),
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": isoformat_of(at_ms),
        "source": source,
        "user_id": user,
        "properties": properties,
    }


async def publish(producer: AIOKafkaProducer, menus: list[tuple[str, dict[str, Any]]]) -> None:
    for sent in [await producer.send("nutricoach.telemetry.events.v1", json.dumps(event).encode(), user.encode()) for user, event in menus]:
        await sent


async def until_it_pages(producer: AIOKafkaProducer, receiver: Receiver, outcome: str, duration_ms: float) -> list[dict[str, Any]]:
    """45 s of good menus and then menus like that, until somebody is told; all events that were sent."""
    began_ms = time.time_ns() // 1_000_000
    history = [menu(began_ms - 45_000 + n * 60, "full", 700.5) for n in range(700)]
    await publish(producer, history)
    sent = [event for _, event in history]
    while not receiver.accepted():
        assert time.time_ns() // 1_000_000 < began_ms + 40_000, "no page"
        batch = [menu(time.time_ns() // 1_000_000, outcome, duration_ms) for _ in range(11)]
        batch[0][1]["bot_reasons"] = ["crawler"]  # it is a row, and counts nowhere
        await publish(producer, batch)
        sent += [event for _, event in batch]
    return sent


async def all_is_counted(server: ClickHouseServer, count: int) -> None:
    everything = (
        "SELECT (SELECT count() FROM telemetry.events) AS events, sum(count) AS counted FROM telemetry.panes WHERE metric = 'events'"
    )
    await until(lambda: query(server, everything) == [{"events": count, "counted": count}], "all is stored and counted", 30)


def check_context(context: dict[str, Any], outcome: str) -> None:
    assert context["note"] in {"", "none of the failing events was stored within a second"}  # as a machine is busy
    classes = ["timeout"] if outcome == "failed" and not context["note"] else []
    assert [one["error_type"] for one in context["error_classes"]] == classes


def check_numbers(server: ClickHouseServer, alert: dict[str, Any], sent: list[dict[str, Any]]) -> None:
    """By the alert's two statements: what was judged, and what the window held in the end, which is what was sent."""
    (as_judged,) = query(server, alert["sql"])
    for name in ("numerator", "denominator", "value"):
        assert as_judged[name] == pytest.approx(alert[name], rel=1e-9, abs=0), name
    expected = [e for e in sent if "bot_reasons" not in e and alert["window_from"] <= e["occurred_at"] < alert["window_to"]]
    durations = [round(e["properties"]["generation_time_ms"], 6) for e in expected]
    numerator = sum(durations) if "avg" in alert["term"] else sum(e["properties"]["outcome"] == "failed" for e in expected)
    (closed,) = query(server, alert["window_sql"])
    assert (closed["numerator"], closed["denominator"]) == (pytest.approx(numerator, rel=1e-9), len(expected))
    assert closed["denominator"] >= alert["denominator"]


async def check_archive(server: ClickHouseServer, alert: dict[str, Any]) -> None:
    await until(lambda: query(server, "SELECT * FROM telemetry.deliveries WHERE outcome = 'delivered'"), "the archive has it", 30)
    (row,) = query(server, f"SELECT * FROM telemetry.alerts WHERE rule = '{MENUS}'")
    assert (row["incident_key"], row["state"], row["value"]) == (alert["incident_key"], "firing", alert["value"])


@asynccontextmanager
async def three_roles(broker: str, server: ClickHouseServer, directory: Path) -> AsyncIterator[Receiver]:
    """Worker, alerter and notifier on migrated tables, and the Slack that they page."""
    await migrate(Settings(clickhouse=ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password))))
    async with slack() as receiver:
        env = environment(broker, receiver) | {
            "TELEMETRY_CLICKHOUSE__URL": server.url,
            "TELEMETRY_CLICKHOUSE__USER": server.user,
            "TELEMETRY_CLICKHOUSE__PASSWORD": server.password,
        }
        with (
            role("worker", env, directory) as worker,
            role("alerter", env, directory) as alerter,
            role("notifier", env, directory) as notifier,
        ):
            await until(lambda: worker.ready() and alerter.ready() and notifier.ready(), "three roles are ready", 60)
            yield receiver


@pytest.mark.parametrize(
    ("outcome", "duration_ms", "term"),
    [("failed", 800.25, "error_rate > 5%"), ("full", 95_000.125, "avg_time > 30s")],
    ids=["failures", "slow"],
)
async def test_the_alerts_own_sql_returns_the_alerts_own_numbers(
    broker: str, tmp_path: Path, outcome: str, duration_ms: float, term: str
) -> None:
    """From published events to a page; then the query in the alert, run by anybody, gives what the alerter saw, to 1e-9."""
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all")
    await producer.start()
    with embedded_clickhouse(tmp_path / "clickhouse") as server:
        async with three_roles(broker, server, tmp_path) as receiver:
            sent = await until_it_pages(producer, receiver, outcome, duration_ms)
            await all_is_counted(server, len(sent))
            (alert,) = [one for one in await read_topic(broker, "alerts.v1") if one["rule"] == MENUS]
            assert alert["term"] == term
            check_context(alert["context"], outcome)
            check_numbers(server, alert, sent)
            await check_archive(server, alert)
    await producer.stop()
