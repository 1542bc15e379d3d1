from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from typing import Any

import aiohttp
import pytest

from pipeline.embedded.ports import free_port
from pipeline.gateway.app import serving
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import Gateway, Kafka, Settings
from tests.contract.gateway.gateways import Client
from tests.contract.gateway.topic import events_topic
from tests.integration.worker.stack import Role, Stack, menu, ready
from tests.waiting import wait_until

VIEW = "telemetry.accepted_and_stored"


def events(count: int, service: str, **fields: Any) -> list[dict[str, Any]]:
    """Of as many users."""
    now_ms = int(time.time() * 1000)
    return [menu(service, now_ms, f"{service}-{i}") | fields for i in range(count)]


async def accept(kafka: str, source: str, *requests: list[dict[str, Any]]) -> None:
    """Have a gateway with this id accept all of these, one request after the other, and stop it."""
    settings = Settings(_env_file=None, kafka=Kafka(bootstrap_servers=kafka), gateway=Gateway(port=0))
    async with serving(settings, SystemClock(), lambda: source) as gateway, aiohttp.ClientSession() as session:
        client = Client(gateway.url, session)
        await client.ready()
        for request in requests:
            answer = await client.post(request)
            assert (answer.status, answer.json["accepted"]) == (202, len(request)), answer.json


async def stamped(kafka: str, source: str) -> Counter[int]:
    """Records of the log that a gateway has marked, by minute of the broker's stamp: read by a consumer, not counted by us."""
    async with events_topic(kafka, from_beginning=True) as topic:
        marked = [r for r in await topic.read() if ("accepted_by", source.encode()) in r.headers]
    return Counter(r.timestamp // 60_000 * 60 for r in marked)


def judged(stack: Stack, *sources: str) -> list[dict[str, Any]]:
    """Rows of these gateways once all of their minutes are judged."""

    def rows() -> list[dict[str, Any]]:
        named = ", ".join(f"'{source}'" for source in sources)
        found = stack.query(f"SELECT *, toUnixTimestamp(minute) AS at FROM {VIEW} WHERE source IN ({named})")
        done = {row["source"] for row in found} == set(sources) and all(row["missing"] is not None for row in found)
        return found if done else []

    return wait_until(rows, 60, "every minute is judged")


def total(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(row[name] for row in rows) for name in ("accepted", "stored", "dead_lettered", "repeated", "missing")}


async def test_accepted_and_stored_are_equal_whatever_else_is_written(stack: Stack) -> None:
    """Retries, conflicts, the same ids on other partitions, and records others wrote: nothing is missing, and nothing hides what is."""
    worker = stack.start_worker()
    wait_until(lambda: ready(worker), 60, "the worker is ready")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    mine, theirs = events(300, "accepted"), events(40, "direct")
    conflicts = [event | {"properties": event["properties"] | {"recipe_count": 7}} for event in mine[:6]]
    elsewhere = [event | {"user_id": f"other-{i}"} for i, event in enumerate(mine[10:30])]
    await stack.send(theirs)
    await accept(stack.kafka, first, mine, mine[:100], conflicts, elsewhere, theirs[:5])
    await stack.send([*mine[:50], *events(30, "direct"), b"not an event"])
    await accept(stack.kafka, second, events(80, "accepted"), mine[:8])

    rows = judged(stack, first, second)
    assert {row["at"]: row["accepted"] for row in rows if row["source"] == first} == await stamped(stack.kafka, first)
    one, other = total([r for r in rows if r["source"] == first]), total([r for r in rows if r["source"] == second])
    assert one["accepted"] == 300 + 100 + 6 + 20 + 5
    assert other == {"accepted": 88, "stored": 80, "dead_lettered": 0, "repeated": 8, "missing": 0}
    same_partition = one["repeated"] + one["dead_lettered"] - 100 - 6 - 5  # another user's copy may fall on the partition of the first
    assert 0 <= same_partition < 20
    assert (one["stored"], one["missing"]) == (320 - same_partition, 0)

    stack.query("OPTIMIZE TABLE telemetry.events_raw FINAL")
    assert total(judged(stack, first)) == one, "copies that merge away are not lost"

    lost = ", ".join(f"'{event['event_id']}'" for event in mine[100:107])
    stack.query(f"DELETE FROM telemetry.events_raw WHERE event_id IN ({lost})")
    assert total(judged(stack, first)) == one | {"stored": one["stored"] - 7, "missing": 7}
    assert total(judged(stack, second))["missing"] == 0
    letters = "kafka_offset IN (SELECT arrayJoin(dead_lettered) FROM telemetry.accepted_runs)"
    stack.query(f"DELETE FROM telemetry.dead_letters_raw WHERE error_code = 'event_id_conflict' AND {letters}")
    assert total(judged(stack, first))["missing"] == 7 + one["dead_lettered"]


@pytest.mark.long
async def test_a_gateway_that_is_killed_raises_no_false_alarm(stack: Stack) -> None:
    """kill -9: what it accepted is stored, what it did not tell is unknown, not missing; the next one counts for itself."""
    worker = stack.start_worker()
    killed, killed_source = await _gateway(stack)
    async with aiohttp.ClientSession() as session:
        assert (await Client(killed.url, session).post(events(120, "killed"))).status == 202
        killed.kill()
        following, source = await _gateway(stack)
        assert (await Client(following.url, session).post(events(30, "following"))).status == 202
    assert following.stop() == 0
    wait_until(lambda: ready(worker), 60, "the worker is ready")

    assert total(judged(stack, source)) == {"accepted": 30, "stored": 30, "dead_lettered": 0, "repeated": 0, "missing": 0}
    sql = f"SELECT accepted, missing, missing_ratio, sum(stored) AS stored FROM {VIEW} WHERE source = '{killed_source}' GROUP BY ALL"
    unknown = {"accepted": None, "missing": None, "missing_ratio": None, "stored": 120}
    assert wait_until(lambda: [row for row in stack.query(sql) if row["stored"] == 120], 60, "all of it is stored") == [unknown]


async def _gateway(stack: Stack) -> tuple[Role, str]:
    """A gateway's process, ready, and the id it marks its records with."""
    port = free_port()
    role = stack.start("gateway", TELEMETRY_GATEWAY__PORT=str(port))
    role.url = f"http://127.0.0.1:{port}"
    wait_until(lambda: ready(role), 60, "the gateway is ready")
    (line,) = [line for line in role.log.read_text().splitlines() if '"publishing"' in line]
    return role, str(json.loads(line)["source"])
