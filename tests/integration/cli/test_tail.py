"""`telemetry tail` beside a real broker, as a person starts it: another process, on a terminal's terms."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import topics_now
from pipeline.cli.topics_now import TopicsNow
from pipeline.runtime.producer import Message, send_all, start_producer, stop_producer
from pipeline.runtime.topics_admin import ensure_topics
from schemas.dead_letter import DeadLetter
from schemas.topics import DLQ, EVENTS
from tests.waiting import wait_until

WITHIN_S = 60


def menu(service: str, **changes: Any) -> Message:
    event = {
        "event_id": str(uuid.uuid4()),
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": service, "environment": "test"},
        "properties": {"recipe_count": 5, "restrictions": [], "generation_time_ms": 12, "outcome": "full"},
        **changes,
    }
    return Message(EVENTS.name, json.dumps(event).encode(), event["event_id"].encode())


def letter(service: str) -> Message:
    headers = DeadLetter(
        EVENTS.name, 0, 0, 1_795_000_000_000, "invalid_field", "properties.x: no", "", "payment", service, None, b"{}"
    ).headers()
    return Message(DLQ.name, b"{}", None, headers=headers)


async def send(kafka: str, messages: list[Message]) -> None:
    producer = await start_producer(kafka, "test-tail")
    try:
        await send_all(producer, messages)
    finally:
        await stop_producer(producer)


@dataclass
class Tail:
    """A running `telemetry tail` and what it has written so far."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()


@contextmanager
def tail(kafka: str, folder: Path, *options: str) -> Iterator[Tail]:
    env = {**os.environ, "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": kafka, "HOME": str(folder)}
    out, err = folder / "out", folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli.main", "tail", *options], env=env, stdout=stdout, stderr=stderr)
    try:
        yield Tail(process, out, err)
    finally:
        process.kill()
        process.wait()


def until(tail: Tail, condition: Callable[[], object], what: str) -> None:
    def holds() -> object:
        assert tail.process.poll() is None, tail.err.read_text()
        return condition()

    wait_until(holds, WITHIN_S, what)


@pytest.fixture(scope="module")
def broker(kafka: str) -> str:
    asyncio.run(ensure_topics(kafka))
    return kafka


def test_what_comes_is_seen_and_ctrl_c_ends_it(broker: str, tmp_path: Path) -> None:
    """Events from now on, accepted and rejected, of the wanted service and no other; then exit 0 and no word more."""
    service = f"tail-{uuid.uuid4().hex[:8]}"
    asyncio.run(send(broker, [menu(service, user_id="before")]))
    with tail(broker, tmp_path, "--service", service) as running:
        until(running, lambda: b"Ctrl-C ends it" in running.err.read_bytes(), "it watches")
        asyncio.run(send(broker, [menu("another"), menu(service, user_id="u-1"), letter(service)]))
        until(running, lambda: len(running.lines()) >= 2, "two lines")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WITHIN_S) == 0
    accepted = next(line for line in running.lines() if "u-1" in line)
    rejected = next(line for line in running.lines() if "rejected" in line)
    assert len(running.lines()) == 2
    assert accepted.split()[1:] == [
        "menu_generated",
        service,
        "u-1",
        "recipe_count=5",
        "restrictions=[0]",
        "generation_time_ms=12.0",
        "outcome=full",
    ]
    assert rejected.split()[1:] == ["payment", service, "-", "rejected", "invalid_field:", "properties.x:", "no"]
    assert "\x1b" not in running.out.read_text()
    assert running.err.read_text().count("\n") == 1


def test_what_came_before_is_seen_when_asked_for(broker: str, tmp_path: Path) -> None:
    """--since begins so long ago; --format json has the whole event; --type leaves out other types."""
    service = f"tail-{uuid.uuid4().hex[:8]}"
    feedback = menu(service, event_type="feedback", properties={"kind": "idea"})
    asyncio.run(send(broker, [menu(service), feedback]))
    with tail(broker, tmp_path, "--since", "5m", "--service", service, "--type", "feedback", "--format", "json") as running:
        until(running, running.lines, "a line")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WITHIN_S) == 0
    (line,) = running.lines()
    document = json.loads(line)
    assert document["verdict"] == "accepted"
    assert document["event"]["event_id"] == json.loads(feedback.value or b"")["event_id"]


def test_no_broker_is_one_line(tmp_path: Path) -> None:
    """Exit 1, and what to do."""
    with tail("127.0.0.1:1", tmp_path) as running:
        assert running.process.wait(WITHIN_S) == 1
    assert running.err.read_text().startswith("telemetry: no Kafka broker answers at 127.0.0.1:1 ")
    assert running.err.read_text().count("\n") == 1


async def test_a_reader_that_is_too_slow_is_brought_to_the_end(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than can be shown is skipped and counted, to the record; what comes afterwards is seen."""
    monkeypatch.setattr(topics_now, "MOST_BEHIND", 500)
    monkeypatch.setattr(topics_now, "_MOST_RECORDS", 100)
    service = f"tail-{uuid.uuid4().hex[:8]}"
    async with TopicsNow(broker, [EVENTS]) as now:
        await send(broker, [menu(service) for _ in range(3_000)])
        seen = skipped = 0
        while seen + skipped < 3_000:
            records, missed = await now.next()
            seen, skipped = seen + len(records), skipped + missed
        assert skipped > 1_000
        await send(broker, [menu(service)])
        while not (records := (await now.next())[0]):
            pass
        assert (seen + skipped, len(records)) == (3_000, 1)


async def test_nothing_of_an_earlier_time_is_skipped(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there when it began is read to its end, however much it is."""
    monkeypatch.setattr(topics_now, "MOST_BEHIND", 50)
    monkeypatch.setattr(topics_now, "_MOST_RECORDS", 100)
    service = f"tail-{uuid.uuid4().hex[:8]}"
    await send(broker, [menu(service) for _ in range(1_000)])
    async with TopicsNow(broker, [EVENTS], since_ms=0) as now:
        found = 0
        while found < 1_000:
            records, skipped = await now.next()
            assert skipped == 0
            found += sum(service.encode() in (record.value or b"") for record in records)
