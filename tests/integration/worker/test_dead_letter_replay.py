"""Five hundred dead letters, replayed twice: what the dry run says is what the numbers do, once."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from pipeline.cli.main import run
from pipeline.cli.publishing import Patience
from pipeline.cli.replaying import Report, Request, replay, to_kafka
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import Row, encode, insert
from pipeline.clickhouse.repair_marks import load_all_progress
from pipeline.clickhouse.tables import PANES_RAW
from pipeline.dead_letters.letters import Filter
from pipeline.dead_letters.reading import Letters
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.settings import ClickHouse
from schemas.dead_letter import read_dead_letter
from schemas.partitioning import EVENT_PARTITIONS, partition_of
from tests.freezing import freeze
from tests.integration.worker.stack import DLQ, EVENTS, Role, Stack, menu, ready
from tests.stack_fixtures import ClickHouseServer, docker_answers
from tests.waiting import wait_until

Dlq = Callable[..., tuple[int, dict[str, Any]]]

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def stack(kafka: str, prepared: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One with a worker, for all of this file."""
    stack = Stack(kafka, prepared, tmp_path_factory.mktemp("replay"))
    worker = stack.start_worker()
    try:
        wait_until(lambda: ready(worker), 60, "worker ready")
        yield stack
    finally:
        stack.stop_roles()


@pytest.fixture
def dlq(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dlq:
    """Runs `telemetry dlq` as a reader of ClickHouse: exit code and JSON."""
    clickhouse = stack.clickhouse
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", stack.kafka)
    monkeypatch.setenv("TELEMETRY_CLICKHOUSE__URL", clickhouse.url)
    if docker_answers():  # a server knows no one without a name
        monkeypatch.setenv("TELEMETRY_CLICKHOUSE__USER", clickhouse.user)
        monkeypatch.setenv("TELEMETRY_CLICKHOUSE__PASSWORD", clickhouse.password)

    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run(["dlq", *arguments, "--format", "json"])
        said = capsys.readouterr()
        assert said.err == ""
        return code, json.loads(said.out)

    return call


def numbers(stack: Stack, service: str) -> dict[str, Any]:
    """Everything a replay of a service's letters may move, as the views have it; what other tests left may still move beside it."""
    panes = stack.query(
        f"SELECT metric, mapSort(labels) AS of, sum(count) AS n, sum(panes.sum) AS total FROM panes "
        f"WHERE has(mapValues(labels), '{service}') GROUP BY metric, of"
    )
    events = stack.query(
        f"SELECT event_type, toUnixTimestamp(toStartOfHour(occurred_at)) AS hour_s, count() AS n FROM events "
        f"WHERE service = '{service}' GROUP BY ALL"
    )
    firsts = stack.query(
        f"SELECT subject, flag, variant, toUnixTimestamp64Milli(first_at) AS at FROM first_exposures WHERE flag = '{service}'"
    )
    return {
        "panes": {(row["metric"], *sorted(row["of"].items())): (row["n"], row["total"]) for row in panes},
        "events": {(row["event_type"], row["hour_s"]): row["n"] for row in events},
        "user_days": stack.one(f"SELECT count() FROM user_days WHERE startsWith(user_id, '{service}')"),
        "firsts": {(row["subject"], row["flag"]): (row["variant"], row["at"]) for row in firsts},
    }


def moved(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The difference, in the words of the command."""
    panes = {
        key: (count - before["panes"].get(key, (0, 0))[0], (total - before["panes"].get(key, (0, 0))[1]) / 1_000_000)
        for key, (count, total) in after["panes"].items()
    }
    return {
        "metrics": {key: delta for key, delta in panes.items() if delta != (0, 0)},
        "events": {key: n - before["events"].get(key, 0) for key, n in after["events"].items() if n != before["events"].get(key, 0)},
        "user_days": after["user_days"] - before["user_days"],
        "first_exposures": sum(first != before["firsts"].get(key) for key, first in after["firsts"].items()),
    }


def said(moves: dict[str, Any]) -> dict[str, Any]:
    """The same of what the command said."""
    assert moves["hours_too_old"] == []
    hour_s = {
        row["hour"]: int(time.mktime(time.strptime(row["hour"][:19], "%Y-%m-%dT%H:%M:%S"))) - time.timezone for row in moves["events"]
    }
    return {
        "metrics": {(row["metric"], *sorted(row["labels"].items())): (row["count"], row["sum"]) for row in moves["metrics"]},
        "events": {(row["event_type"], hour_s[row["hour"]]): row["count"] for row in moves["events"]},
        "user_days": moves["user_days"],
        "first_exposures": moves["first_exposures"],
    }


def is_settled(stack: Stack) -> bool:
    """Whether no hour waits for its repair."""
    marks = "SELECT 1 FROM stale_hours GROUP BY kafka_partition, hour HAVING max(marked_offset) > max(cleared_offset)"
    return bool(stack.one(f"SELECT count() = 0 FROM ({marks})"))


def users(service: str) -> list[str]:
    """One of each partition."""
    found: dict[int, str] = {}
    i = 0
    while len(found) < EVENT_PARTITIONS:
        found.setdefault(partition_of(f"{service}-{i}"), f"{service}-{i}")
        i += 1
    return list(found.values())


def exposure(service: str, at_ms: int, user: str, variant: str) -> dict[str, Any]:
    return menu(service, at_ms, user) | {"event_type": "feature_exposure", "properties": {"flag": service, "variant": variant}}


def the_letters(service: str, now_ms: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Forty events that are stored first, and five hundred that are refused: 250 on time, 100 late, 100 exposures, and bad ones."""
    some = users(service)
    stored = [menu(service, now_ms - 60_000 - 9_000 * i, some[i % 12], duration_ms=10.1 + i) for i in range(40)]
    on_time = [menu(service, now_ms - 7_000 * (i % 90), some[i % 12], ["full", "failed"][i % 2], 0.333333 * i) for i in range(250)]
    late = [menu(service, now_ms - 30 * HOUR_MS - 61_000 * i, some[i % 12], duration_ms=1.5 * i) for i in range(100)]
    shown = [exposure(service, now_ms - 10 * HOUR_MS + i, f"{service}-{i % 30}", "AB"[i % 2]) for i in range(60)]
    again = [exposure(service, now_ms - 1_000 * i, f"{service}-{i}", "C") for i in range(40)]
    repeats = stored[:20]
    conflicts = [event | {"properties": {**event["properties"], "recipe_count": 9}} for event in stored[20:]]
    broken = [menu(service, now_ms, some[i], outcome="splendid") for i in range(10)]
    bad = [*on_time, *late, *shown, *again, *repeats, *conflicts]
    return stored, [event | {"schema_version": 2} for event in [*bad, *broken]]


def by_user(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of each user together, in the order given."""
    return sorted(events, key=lambda event: str(event["user_id"]))


def in_order_of_offsets(stack: Stack, service: str) -> list[str]:
    rows = stack.query(f"SELECT event_id FROM events WHERE service = '{service}' ORDER BY user_id, kafka_offset")
    return [row["event_id"] for row in rows]


def days(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(event["user_id"], event["occurred_at"][:10]) for event in events}


@contextmanager
def frozen(worker: Role) -> Iterator[None]:
    freeze(worker.process.pid)
    try:
        yield
    finally:
        worker.signal(signal.SIGCONT)


async def ends_of(stack: Stack) -> dict[int, int]:
    """Where the partitions of events.v1 end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(EVENTS, partition) for partition in range(EVENT_PARTITIONS)])
        return {tp.partition: end for tp, end in ends.items() if end}
    finally:
        await consumer.stop()


def wait_until_read(stack: Stack) -> None:
    """Until all that was sent has had its effects, and late events their repair."""
    ends = asyncio.run(ends_of(stack))

    def positions() -> dict[int, int]:
        return {row["p"]: row["at"] for row in stack.query("SELECT kafka_partition AS p, position AS at FROM partition_progress FINAL")}

    wait_until(lambda: all(positions().get(partition, 0) >= end for partition, end in ends.items()), 30, "all is read")
    wait_until(lambda: is_settled(stack), 60, "late events are repaired")


def test_five_hundred_letters_move_what_the_dry_run_says_and_only_once(stack: Stack, dlq: Dlq) -> None:
    """On time, late, facts, some stored already, some in conflict, some still wrong: the views move by what was said, and not again."""
    service = f"replay-{uuid.uuid4().hex[:8]}"
    stored, bad = the_letters(service, int(time.time() * 1000))
    assert len(bad) == 500
    asyncio.run(stack.send(stored))
    wait_until_read(stack)
    asyncio.run(stack.send(bad))
    wait_until(lambda: stack.one(f"SELECT count() FROM dead_letters WHERE service = '{service}'") == 500, 30, "all are refused")

    which = ("--source", service, "--fix", "set-version-1")
    before = numbers(stack, service)
    code, dry = dlq("replay", *which, "--dry-run")
    assert (code, dry["matched"], dry["ready"], dry["replayed"], dry["stored"]) == (1, 500, 450, 0, 20)
    assert Counter({row["error_code"]: row["count"] for row in dry["refused"]}) == {"event_id_conflict": 20, "invalid_field": 10}
    assert numbers(stack, service) == before

    code, real = dlq("replay", *which)
    assert (code, real["replayed"], real["moves"]) == (1, 450, dry["moves"])
    wait_until_read(stack)
    after = numbers(stack, service)
    assert moved(before, after) == said(dry["moves"])
    assert sum(row["count"] for row in dry["moves"]["metrics"] if row["metric"] == "menu_generation") == 350
    assert (dry["moves"]["first_exposures"], dry["moves"]["user_days"]) == (40, len(days(bad[:350]) - days(stored)))

    code, again = dlq("replay", *which)
    assert (code, again["replayed"], again["stored"]) == (1, 0, 470)
    wait_until_read(stack)
    assert numbers(stack, service) == after
    assert stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 490
    assert in_order_of_offsets(stack, service) == [event["event_id"] for event in by_user([*stored, *bad[:450]])]
    _, listed = dlq("list", "--source", service)
    (group,) = listed["groups"]
    assert (group["count"], group["open"], group["replayed"], group["given_up"]) == (500, 50, 450, 0)
    assert service not in json.dumps(group["samples"])


async def replay_blindly(stack: Stack, service: str, times: int, *fixes: str) -> list[int]:
    """How many were sent each time, by replays that know nothing of each other: no worker reads what they send."""
    clickhouse, clock = stack.clickhouse, SystemClock()
    client = Client(ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password)))
    producer = await start_producer(stack.kafka, "test")
    try:
        progress, sent = await load_all_progress(client), []
        for _ in range(times):
            report, letters = Report(), Letters(stack.kafka, lambda total: None, lambda read: None)
            send = to_kafka(producer, clock, Patience(clock), report)
            await replay(letters, client, progress, clock, Request(Filter(source=service), fixes), report, send)
            sent.append(report.replayed)
        return sent
    finally:
        await stop_producer(producer)
        await client.close()


def test_letters_sent_twice_before_anybody_has_read_them_count_once(stack: Stack, dlq: Dlq) -> None:
    """An id that is missing, in conflict or no id at all becomes the same one each time, so nobody needs to know what was sent before."""
    service, now_ms = f"twice-{uuid.uuid4().hex[:8]}", int(time.time() * 1000)
    first = menu(service, now_ms, "u-1")
    nameless = {name: value for name, value in menu(service, now_ms, "u-1").items() if name != "event_id"}
    bad = [
        first | {"properties": {**first["properties"], "recipe_count": 7}},
        nameless,
        nameless,
        menu(service, now_ms, "u-1") | {"event_id": "x"},
    ]
    asyncio.run(stack.send([first, *(json.dumps(event).encode() for event in bad)], partition=partition_of("u-1")))
    wait_until(lambda: stack.one(f"SELECT count() FROM dead_letters WHERE service = '{service}'") == 4, 30, "four are refused")
    wait_until(lambda: stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 1, 30, "one is stored")
    with frozen(stack.roles[0]):
        assert asyncio.run(replay_blindly(stack, service, 2, "new-event-id")) == [4, 4]
    counted = f"SELECT sum(count) FROM panes WHERE metric = 'events' AND labels['service'] = '{service}'"
    wait_until(lambda: stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 5, 30, "four more are stored")
    wait_until(lambda: stack.one(counted) == 5, 30, "four more are counted")
    assert dlq("replay", "--source", service, "--fix", "new-event-id")[1]["stored"] == 4
    assert stack.one(f"SELECT count() FROM events_raw WHERE service = '{service}'") == 5
    assert stack.one(counted) == 5


def test_what_is_refused_after_three_replays_is_given_up(stack: Stack, dlq: Dlq) -> None:
    """The count goes with the event from letter to letter, the letters before the last are done with, and only --force goes on."""
    service = f"stubborn-{uuid.uuid4().hex[:8]}"
    event = menu(service, int(time.time() * 1000), "u-1") | {"schema_version": 2}
    asyncio.run(stack.send([event]))
    wait_until(lambda: asyncio.run(letters_of(stack, service)), 30, "it is refused")
    ((origin, _),) = asyncio.run(letters_of(stack, service))
    asyncio.run(send_again(stack, event, [("dlq.origin", origin.encode()), ("dlq.attempts", b"3"), ("trace", b"t-1")]))
    wait_until(lambda: len(asyncio.run(letters_of(stack, service))) == 2, 30, "it is refused again")
    assert asyncio.run(letters_of(stack, service))[1] == (origin, 3)
    (group,) = dlq("list", "--source", service)[1]["groups"]
    assert (group["count"], group["given_up"]) == (1, 1)
    code, report = dlq("replay", "--source", service, "--fix", "set-version-1")
    assert (code, report["matched"], report["given_up"], report["replayed"]) == (1, 1, 1, 0)
    code, report = dlq("replay", "--source", service, "--fix", "set-version-1", "--force")
    assert (code, report["replayed"]) == (0, 1)
    wait_until(lambda: stack.one(f"SELECT count() FROM events WHERE service = '{service}'") == 1, 30, "it is stored")


def test_hours_that_no_repair_touches_are_said_to_stay_as_they_are(stack: Stack, dlq: Dlq) -> None:
    """Of an hour known for 81 days events may be gone: the letter's event is stored, and no metric moves there."""
    service, now_ms = f"old-{uuid.uuid4().hex[:8]}", int(time.time() * 1000)
    user, then_ms = f"{service}-1", now_ms - 100 * 24 * HOUR_MS
    old = menu(service, then_ms, user) | {"schema_version": 2}
    asyncio.run(stack.send([menu(service, now_ms, user), old]))
    wait_until(lambda: asyncio.run(letters_of(stack, service)), 30, "it is refused")
    row = ["events", {"event_type": "x", "service": service}, then_ms // 10_000 * 10, partition_of(user), 1, 0, {}, 0]
    asyncio.run(insert_pane(stack, (*row, (now_ms - 81 * 24 * HOUR_MS) / 1000, 0)))
    before = numbers(stack, service)
    _, dry = dlq("replay", "--source", service, "--fix", "set-version-1", "--dry-run")
    (left_alone,) = dry["moves"]["hours_too_old"]
    assert (dry["ready"], dry["moves"]["metrics"], left_alone["partition"]) == (1, [], partition_of(user))
    assert dlq("replay", "--source", service, "--fix", "set-version-1")[0] == 0
    wait_until_read(stack)
    after = moved(before, numbers(stack, service))
    assert (after["metrics"], sum(after["events"].values()), after["user_days"]) == ({}, 1, dry["moves"]["user_days"])


async def insert_pane(stack: Stack, row: Row) -> None:
    clickhouse = stack.clickhouse
    client = Client(ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password)))
    try:
        await insert(client, PANES_RAW, encode([row]), 1)
    finally:
        await client.close()


async def letters_of(stack: Stack, service: str) -> list[tuple[str, int]]:
    """First place and attempts of the letters of a service on the topic."""
    letters = [read_dead_letter(record.headers, record.key, record.value) for record in await stack.read(DLQ)]
    return [(letter.first_place, letter.attempts) for letter in letters if letter.service == service]


async def send_again(stack: Stack, event: dict[str, Any], headers: list[tuple[str, bytes]]) -> None:
    producer = await start_producer(stack.kafka, "test")
    try:
        await send_all(producer, [Message(EVENTS, json.dumps(event).encode(), event["user_id"].encode(), headers=headers)])
    finally:
        await stop_producer(producer)
