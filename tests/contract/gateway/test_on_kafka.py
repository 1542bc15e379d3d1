from __future__ import annotations

import asyncio
import gzip
import json
import random
import string

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from backports.zstd import compress as zstd_compress

from pipeline.gateway import limits
from pipeline.runtime.topics_admin import ensure_topics
from schemas.partitioning import TEST_VECTORS
from tests.contract.gateway.gateways import Client
from tests.contract.gateway.topic import NAME, Topic
from tests.unit.gateway.bodies import KNOWN_ID, event, json_bytes, numbered_id

LOG_APPEND_TIME = 1


async def test_an_accepted_event_is_in_the_topic_where_its_key_belongs(gateway: Client, topic: Topic) -> None:
    """When 202 arrives the record can be read: partition of the published vector, key, value, stamped by the broker, one header."""
    keys = [key for key in TEST_VECTORS if key]
    sent = [event(event_id=numbered_id(n), user_id=key) for n, key in enumerate(keys)]
    answer = await gateway.post(sent)
    records = await topic.read()
    assert (answer.status, answer.json) == (202, {"accepted": len(keys), "event_ids": [e["event_id"] for e in sent], "rejected": []})
    assert {r.key.decode(): r.partition for r in records} == {key: TEST_VECTORS[key][1] for key in keys}
    assert sorted((json.loads(r.value) for r in records), key=lambda e: e["event_id"]) == sent
    ((stamp, ((header, _),)),) = {(r.timestamp_type, r.headers) for r in records}  # the same gateway's for all
    assert (stamp, header) == (LOG_APPEND_TIME, "accepted_by")


async def test_only_the_good_ones_of_a_request_are_published(gateway: Client, topic: Topic) -> None:
    """A bad line among good ones is one rejection with its place and reasons, and is not in the topic."""
    lines = [
        json_bytes(event(event_id=numbered_id(1))),
        b"{nonsense",
        json_bytes(event(event_id=KNOWN_ID, schema_version=7)),
        json_bytes(event()),
    ]
    answer = await gateway.post(b"\n".join(lines), Content_Type="application/x-ndjson")
    assert answer.status == 202
    assert answer.json["accepted"] == 2
    assert [(r["index"], r["event_id"]) for r in answer.json["rejected"]] == [(1, None), (2, KNOWN_ID)]
    assert answer.json["rejected"][1]["errors"] == [{"field": "schema_version", "message": "Input should be 1"}]
    assert {json.loads(r.value)["event_id"] for r in await topic.read()} == set(answer.json["event_ids"])
    assert answer.json["event_ids"][0] == numbered_id(1)


async def test_a_request_without_good_events_is_accepted_with_none(gateway: Client, topic: Topic) -> None:
    """202 also when nothing is taken."""
    assert (await gateway.post([])).json == {"accepted": 0, "event_ids": [], "rejected": []}
    answer = await gateway.post({})
    assert (answer.status, answer.json["accepted"], len(answer.json["rejected"])) == (202, 0, 1)
    assert await topic.read() == []


async def test_a_dry_run_says_the_same_and_publishes_nothing(gateway: Client, topic: Topic) -> None:
    """?dry_run=1 validates only."""
    body = [event(event_id=KNOWN_ID), {}]
    dry = await gateway.post(body, query="?dry_run=1")
    assert await topic.read() == []
    assert (dry.status, dry.json) == (202, (await gateway.post(body)).json)
    assert len(await topic.read()) == 1


async def test_compressed_bodies_and_beacons_reach_the_topic(gateway: Client, topic: Topic) -> None:
    """gzip, zstd, a text/plain beacon, with and without the header that says so."""
    bodies = [json_bytes([event(event_id=numbered_id(n))]) for n in range(5)]
    answers = [
        await gateway.post(gzip.compress(bodies[0]), Content_Encoding="gzip"),
        await gateway.post(zstd_compress(bodies[1]), Content_Encoding="zstd"),
        await gateway.post(gzip.compress(bodies[2])),
        await gateway.post(bodies[3], Content_Type="text/plain;charset=UTF-8"),
        await gateway.post(zstd_compress(bodies[4]), Content_Type="text/plain;charset=UTF-8"),
    ]
    assert [(a.status, a.json["event_ids"]) for a in answers] == [(202, [numbered_id(n)]) for n in range(5)]
    assert {json.loads(r.value)["event_id"] for r in await topic.read()} == {numbered_id(n) for n in range(5)}


async def test_events_of_a_key_keep_their_order_within_and_between_requests(gateway: Client, topic: Topic) -> None:
    """Ten requests of 300 events for one user and others: in the partition they stand as they were sent."""
    order = [numbered_id(n) for n in range(3_000)]
    for start in range(0, 3_000, 300):
        batch = [event(event_id=i, user_id="u-42" if n % 2 else f"other-{n}") for n, i in enumerate(order[start : start + 300])]
        assert (await gateway.post(batch)).json["accepted"] == 300
    records = await topic.read()
    assert [json.loads(r.value)["event_id"] for r in records if r.key == b"u-42"] == order[1::2]
    assert len(records) == 3_000


async def test_many_clients_at_once_lose_and_double_nothing(gateway: Client, topic: Topic) -> None:
    """Forty clients, each with its own order, all on the same partitions."""

    async def client(number: int) -> list[str]:
        taken: list[str] = []
        for _ in range(10):
            answer = await gateway.post([event(user_id=f"client-{number}") for _ in range(7)])
            assert answer.status == 202
            taken += answer.json["event_ids"]
        return taken

    sent = await asyncio.gather(*(client(n) for n in range(40)))
    records = await topic.read()
    for number, ids in enumerate(sent):
        assert [json.loads(r.value)["event_id"] for r in records if r.key == f"client-{number}".encode()] == ids
    assert len(records) == 40 * 70


async def test_the_largest_events_fit_the_topic(gateway: Client, topic: Topic) -> None:
    """Events of the largest size, as irregular as text can be, with the longest key, are acknowledged; one byte more is a rejection."""
    rng = random.Random(7)
    user_id = "🥑" * 200
    small = event(event_id=numbered_id(0), user_id=user_id, properties=event()["properties"] | {"text": ""})
    room = limits.MAX_EVENT_BYTES - len(json.dumps(small, separators=(",", ":"), ensure_ascii=False).encode())
    text = "".join(rng.choices(string.ascii_letters + string.digits, k=room + 1))

    def of_size(number: int, size: int) -> dict[str, object]:
        return event(event_id=numbered_id(number), user_id=user_id, properties=event()["properties"] | {"text": text[:size]})

    answer = await gateway.post([of_size(1, room), of_size(2, room + 1), of_size(3, room)])
    assert answer.json["event_ids"] == [numbered_id(1), numbered_id(3)]
    assert [r["event_id"] for r in answer.json["rejected"]] == [numbered_id(2)]
    assert [json.loads(r.value)["event_id"] for r in await topic.read()] == [numbered_id(1), numbered_id(3)]


async def test_a_batch_that_the_broker_refuses_does_not_spoil_its_partition(kafka: str, gateway: Client, topic: Topic) -> None:
    """While the topic takes next to nothing the request is told to come back; when that is put right, so is everything after it."""
    large = [event(user_id="u-42") for _ in range(50)]
    assert (await gateway.post(large)).status == 202
    try:
        await _limit_messages(kafka, 100)
        async with asyncio.timeout(20):
            while (refused := await gateway.post(large)).status == 202:
                pass
        assert (refused.status, refused.json["error"]) == (503, "kafka_unavailable")
    finally:
        await ensure_topics(kafka)
    await gateway.ready()
    await topic.read()
    async with asyncio.timeout(20):
        while (taken := await gateway.post(large)).status != 202:
            await asyncio.sleep(0.05)
    for _ in range(3):
        assert (await gateway.post(event(user_id="u-42"))).status == 202
    assert [json.loads(r.value)["event_id"] for r in await topic.read()][:50] == taken.json["event_ids"]


async def _limit_messages(kafka: str, size: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    settings = {"max.message.bytes": str(size), "message.timestamp.type": "LogAppendTime"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, NAME, configs=settings)])
    await admin.close()
