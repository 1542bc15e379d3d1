"""Kafka's disk is full: the broker ends, whoever needs it says so and waits, and with room again it all goes on."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.embedded.ports import free_port
from pipeline.runtime.topics_admin import ensure_topics
from tests.contract.gateway.topic import events_topic
from tests.integration.gateway.process import gateway_process
from tests.integration.outages.full_disk import full_disk
from tests.stack_fixtures import embedded_broker
from tests.unit.gateway.bodies import event

pytestmark = pytest.mark.long


def broker_pid(data_dir: Path) -> int:
    """The JVM on this data directory."""
    properties = str(data_dir / "server.properties")
    (pid,) = [process.pid for process in psutil.process_iter(["cmdline"]) if properties in (process.info["cmdline"] or [])]
    return pid


def has_ended(pid: int) -> bool:
    """Also when nobody has asked for its exit code yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def large_event() -> dict[str, Any]:
    """One that compression makes little smaller."""
    return event(properties=event()["properties"] | {"text": secrets.token_hex(10_000)})


@pytest.mark.timeout(120)
async def test_a_broker_without_room_ends_and_the_gateway_refuses_until_it_is_back(tmp_path: Path) -> None:
    """503 with Retry-After while there is no room; the broker said why; what was acknowledged is there when it has room again."""
    folder, port = tmp_path / "kafka", free_port()
    with ExitStack() as first_life:
        kafka = first_life.enter_context(embedded_broker(folder, port))
        await ensure_topics(kafka)
        async with gateway_process(kafka, tmp_path) as gateway:
            await gateway.client.ready()
            accepted = list((await gateway.client.post([event() for _ in range(100)])).json["event_ids"])
            pid = broker_pid(folder)
            with full_disk(pid, beyond_bytes=200_000):
                async with asyncio.timeout(60):
                    while (answer := await gateway.client.post([large_event() for _ in range(100)])).status == 202:
                        accepted += answer.json["event_ids"]
                assert (answer.status, answer.json["error"], int(answer.headers["Retry-After"]) >= 1) == (503, "kafka_unavailable", True)
                async with asyncio.timeout(30):
                    while not has_ended(pid):
                        await asyncio.sleep(0.05)
            assert "all log dirs in" in (folder / "kafka.log").read_text()
            first_life.close()
            with embedded_broker(folder, port):
                await gateway.client.ready()
                assert (await gateway.client.post(event())).status == 202
                async with events_topic(kafka, from_beginning=True) as topic:
                    read = [json.loads(record.value)["event_id"] for record in await topic.read()]
    assert set(accepted) <= set(read)
