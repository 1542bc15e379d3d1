from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.embedded.ports import free_port
from pipeline.gateway import limits
from pipeline.runtime.topics_admin import ensure_topics
from tests.contract.gateway.gateways import Answer, Client
from tests.contract.gateway.topic import NAME, events_topic
from tests.freezing import freeze
from tests.integration.gateway.process import gateway_process
from tests.stack_fixtures import broker_to_harm, embedded_broker
from tests.unit.gateway.bodies import event

BACK_WITHIN_S = 60.0
"""After a pause longer than its session a broker must first be let back into its own cluster."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Bootstrap servers and process id of a broker that may be harmed."""
    with broker_to_harm(tmp_path / "kafka") as broker:
        yield broker


async def _until_accepted(client: Client) -> list[str]:
    async with asyncio.timeout(BACK_WITHIN_S):
        while (answer := await client.post(event())).status != 202:
            await asyncio.sleep(0.1)
    return list(answer.json["event_ids"])


async def test_a_broker_that_hangs_costs_a_bounded_wait_and_no_event(broker: tuple[str, int], tmp_path: Path) -> None:
    """SIGSTOP: 503 within the bound, then at once; memory stays bounded; SIGCONT: taken again; all that was accepted can be read."""
    kafka, pid = broker
    await ensure_topics(kafka)
    async with gateway_process(kafka, tmp_path) as gateway, events_topic(kafka) as topic:
        client = gateway.client
        await client.ready()
        accepted = list((await client.post([event() for _ in range(500)])).json["event_ids"])
        freeze(pid)

        began_at = time.monotonic()
        first = await asyncio.gather(*(client.post([event() for _ in range(20)]) for _ in range(20)))
        waited_s = time.monotonic() - began_at
        assert {(a.status, a.json["error"]) for a in first} == {(503, "kafka_unavailable")}
        assert limits.ACK_TIMEOUT_S <= waited_s < limits.ACK_TIMEOUT_S + 3
        assert min(int(a.headers["Retry-After"]) for a in first) >= 1

        began_at, before = time.monotonic(), gateway.peak_bytes()
        large = [event(properties=event()["properties"] | {"text": "x" * 2_000}) for _ in range(1_000)]
        for _ in range(30):
            assert (await client.post(large)).status == 503
        assert (time.monotonic() - began_at) / 30 < 1
        assert gateway.peak_bytes() - before < limits.MAX_UNACKED_BYTES + limits.MAX_READING_BYTES
        assert (await client.get("/readyz")).status == 503

        os.kill(pid, signal.SIGCONT)
        accepted += await _until_accepted(client)
        await client.ready()
        later: list[Answer] = await asyncio.gather(*(client.post([event() for _ in range(50)]) for _ in range(10)))
        assert {a.status for a in later} == {202}
        accepted += [event_id for a in later for event_id in a.json["event_ids"]]
        read = [json.loads(r.value)["event_id"] for r in await topic.read()]
        assert set(accepted) <= set(read)
        assert [event_id for event_id in accepted if read.count(event_id) > 1] == []


@pytest.mark.long
async def test_a_broker_that_restarts_is_used_again_without_loss(tmp_path: Path) -> None:
    """Events sent while the broker stops, is away and starts again: each 202 is in the topic, and the gateway needs no help."""
    port = free_port()
    with ExitStack() as first:
        kafka = first.enter_context(embedded_broker(tmp_path / "kafka", port))
        await ensure_topics(kafka)
        async with gateway_process(kafka, tmp_path) as gateway:
            await gateway.client.ready()
            accepted: list[str] = []
            senders = [asyncio.create_task(_send_until_refused(gateway.client, accepted)) for _ in range(5)]
            while len(accepted) < 1_000:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(first.close)
            await asyncio.gather(*senders)
            with embedded_broker(tmp_path / "kafka", port):
                accepted += await _until_accepted(gateway.client)
                async with events_topic(kafka, from_beginning=True) as topic:
                    read = [json.loads(r.value)["event_id"] for r in await topic.read()]
    assert set(accepted) <= set(read)


async def _send_until_refused(client: Client, accepted: list[str]) -> None:
    while (answer := await client.post([event() for _ in range(20)])).status == 202:
        accepted += answer.json["event_ids"]
    assert (answer.status, answer.json["error"]) == (503, "kafka_unavailable")


async def test_a_gateway_that_starts_first_waits_for_its_broker(tmp_path: Path) -> None:
    """Not ready and 503 until the broker and its topics are there, then ready and 202, without a restart."""
    port = free_port()
    async with gateway_process(f"127.0.0.1:{port}", tmp_path) as gateway:
        assert (await gateway.client.get("/readyz")).status == 503
        assert (await gateway.client.post(event())).status == 503
        with embedded_broker(tmp_path / "kafka", port) as kafka:
            async with asyncio.timeout(BACK_WITHIN_S):
                while NAME not in (await gateway.client.get("/readyz")).json["waiting_for"]:
                    await asyncio.sleep(0.05)
            await ensure_topics(kafka)
            await gateway.client.ready()
            assert (await gateway.client.post(event())).status == 202


async def test_a_topic_with_other_partitions_ends_the_gateway(tmp_path: Path) -> None:
    """Keys would land where nobody looks for them: exit 2 and one line that says what to do."""
    with embedded_broker(tmp_path / "kafka") as kafka:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(NAME, num_partitions=3, replication_factor=1)])
        await admin.close()
        async with gateway_process(kafka, tmp_path) as gateway:
            assert await gateway.exit_status() == 2
            assert "3 partitions" in gateway.log
            assert "Traceback" not in gateway.log
