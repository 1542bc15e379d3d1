from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded.readiness import is_ready
from pipeline.host import reporter as module
from pipeline.host.reporter import Reporter
from pipeline.host.usage import Usage
from pipeline.runtime.clock import SystemClock, new_id
from pipeline.runtime.topics_admin import ensure_topics
from schemas.partitioning import partition_of
from tests.contract.gateway.topic import Topic, events_topic
from tests.freezing import freeze
from tests.integration.worker.stack import Stack, ready
from tests.stack_fixtures import ClickHouseServer, broker_to_harm
from tests.waiting import wait_until

USAGE = Usage(0.25, 0.5, 0.75)


async def until(reporter: Reporter, ready: bool) -> None:
    async with asyncio.timeout(60):
        while (reporter.waiting_for() is None) is not ready:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def reporting(kafka: str, host: str) -> AsyncIterator[Reporter]:
    reporter = Reporter(kafka, host, lambda: USAGE, SystemClock(), new_id)
    task = asyncio.create_task(reporter.run())
    try:
        yield reporter
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def said_by(topic: Topic, host: str) -> list[Any]:
    return [r for r in await topic.read() if json.loads(r.value).get("properties", {}).get("host") == host]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event every fifth of a second."""
    for name, seconds in (("INTERVAL_S", 0.2), ("_FIRST_AFTER_S", 0.1), ("_SEND_WITHIN_S", 0.5)):
        monkeypatch.setattr(module, name, seconds)


@pytest.mark.usefixtures("quickly")
async def test_the_host_is_on_the_topic_by_the_key_rule(kafka: str) -> None:
    """Event after event, each with an id of its own, on the partition of its id."""
    await ensure_topics(kafka)
    host = f"host-{uuid.uuid4()}"
    async with reporting(kafka, host) as reporter:
        await until(reporter, ready=True)
        async with asyncio.timeout(60), events_topic(kafka, from_beginning=True) as topic:
            records: list[Any] = []
            while len(records) < 3:
                records += await said_by(topic, host)
    ids = [json.loads(record.value)["event_id"] for record in records]
    assert len(set(ids)) == len(ids)
    assert [(record.key.decode(), record.partition) for record in records] == [(one, partition_of(one)) for one in ids]
    wanted = {"host": host, "cpu_ratio": 0.25, "memory_ratio": 0.5, "disk_ratio": 0.75}
    assert all(json.loads(record.value)["properties"] == wanted for record in records)


@pytest.mark.long
@pytest.mark.usefixtures("quickly")
async def test_what_kafka_does_not_take_is_dropped(tmp_path: Path) -> None:
    """A broker that hangs: the reporter says that it waits and keeps nothing; afterwards it goes on with what is true then."""
    with broker_to_harm(tmp_path / "kafka") as (kafka, pid):
        await ensure_topics(kafka)
        async with reporting(kafka, "patient") as reporter:
            await until(reporter, ready=True)
            dropped = module.REPORTS.labels("dropped")._value
            before = dropped.get()
            freeze(pid)
            try:
                async with asyncio.timeout(60):
                    while dropped.get() < before + 1:
                        await asyncio.sleep(0.02)
                assert (reporter.waiting_for() or "").startswith("Kafka (")
            finally:
                os.kill(pid, signal.SIGCONT)
            async with asyncio.timeout(60), events_topic(kafka) as topic:
                while not await said_by(topic, "patient"):
                    await asyncio.sleep(0.02)
                await until(reporter, ready=True)


def test_the_role_runs_and_stops_as_all_roles_do(kafka: str, tmp_path: Path) -> None:
    """`telemetry host` on its own: ready, healthy, counts what it said, and ends with 0 at SIGTERM."""
    asyncio.run(ensure_topics(kafka))
    stack = Stack(kafka, ClickHouseServer("http://127.0.0.1:1", "", ""), tmp_path)
    try:
        role = stack.start("host", TELEMETRY_HOST__NAME="web-1", TELEMETRY_HOST__DIRECTORY=str(tmp_path))
        wait_until(lambda: ready(role), 60, "the host reporter is ready")
        assert is_ready(f"{role.url}/healthz")
        wait_until(lambda: role.metric("nutricoach_host_reports_total", "acknowledged") == 1, 60, "an event is acknowledged")
        assert 0 < role.metric("nutricoach_host_usage_ratio", "memory") < 1
        assert role.stop() == 0
    finally:
        stack.stop_roles()
