"""A file is being published when the gateway or the broker dies: every line is stored once, and a person is told what is going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.embedded.ports import free_port
from tests.integration.outages.test_kafka_full import broker_pid, has_ended
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import Role, Stack, ready
from tests.stack_fixtures import embedded_broker
from tests.waiting import wait_until

pytestmark = pytest.mark.long

#: Longer than the session of a consumer and the patience of a send.
AWAY_S = 15.0
LINES_OF_AN_OUTAGE = 150


@dataclass
class Broken:
    """A stack whose gateway and broker may be killed; its roles run all the time."""

    stack: Stack
    folder: Path
    gateway_port: int
    gateway: Role
    others: dict[str, Role]
    publishers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_gateway(self) -> None:
        self.gateway = self.stack.start("gateway", TELEMETRY_GATEWAY__PORT=str(self.gateway_port))
        self.gateway.url = f"http://127.0.0.1:{self.gateway_port}"

    def stored(self, service: str) -> tuple[int, int]:
        """Events, and distinct ones, of a service."""
        (row,) = self.stack.query(f"SELECT count() AS n, uniqExact(event_id) AS ids FROM events WHERE service = '{service}'")
        return row["n"], row["ids"]

    def publish(self, file: Path, *options: str) -> Publisher:
        env = {
            "TELEMETRY_GATEWAY__HOST": "127.0.0.1",
            "TELEMETRY_GATEWAY__PORT": str(self.gateway_port),
            "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.stack.kafka,
        }
        screen = self.folder / f"{file.stem}-{time.monotonic_ns()}.screen"
        command = [sys.executable, "-m", "pipeline.cli.main", "publish", str(file), *options]
        with screen.open("wb") as output:
            self.publishers.append(subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **env}))
        return Publisher(self.publishers[-1], screen)


@dataclass
class Publisher:
    process: subprocess.Popen[bytes]
    screen_file: Path

    def screen(self) -> list[str]:
        return self.screen_file.read_text().splitlines()

    def says(self, text: str) -> bool:
        assert self.process.poll() is None, self.screen()
        return any(text in line for line in self.screen())


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    folder = tmp_path_factory.mktemp("publish")
    with own_stack(folder) as (stack, _):
        others = {name: stack.start(name) for name in ("worker", "alerter", "notifier")}
        port = free_port()
        broken = Broken(stack, folder, port, others["worker"], others)
        broken.start_gateway()
        wait_until(lambda: all(ready(role) for role in stack.roles), 90, "every role is ready")
        yield broken
        for publisher in broken.publishers:
            publisher.kill()
            publisher.wait()


def view(service: str, number: int) -> bytes:
    """An event without an id."""
    event = {
        "event_type": "recipe_view",
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": service, "environment": "test"},
        "user_id": f"u-{number % 997}",
        "properties": {"recipe_id": f"r-{number}"},
    }
    return json.dumps(event).encode()


def file_of(folder: Path, service: str, lines: int) -> Path:
    """Events whose ids follow from the file, so that publishing it again counts nothing twice."""
    path = folder / f"{service}.ndjson"
    path.write_bytes(b"".join(view(service, number) + b"\n" for number in range(lines)))
    return path


def accepted(gateway: Role) -> float:
    return gateway.metric("nutricoach_gateway_events_total", 'outcome="accepted"')


def test_a_gateway_that_dies_and_comes_back_costs_no_line(broken: Broken) -> None:
    """The screen says what is waited for; with the gateway back the command goes on by itself and ends with 0."""
    lines = 30_000
    before = accepted(broken.gateway)
    publisher = broken.publish(file_of(broken.folder, "gateway-dies", lines))
    wait_until(lambda: accepted(broken.gateway) > before, 60, "some events are accepted")
    broken.gateway.kill()
    wait_until(lambda: publisher.says(f"waiting: the gateway at http://127.0.0.1:{broken.gateway_port} does not answer"), 30, "it says so")
    assert broken.stored("gateway-dies")[0] < lines
    broken.start_gateway()
    assert publisher.process.wait(120) == 0, publisher.screen()
    assert publisher.screen()[-1] == f"{lines} accepted, 0 rejected"
    assert any(line.startswith("going on after ") for line in publisher.screen())
    wait_until(lambda: broken.stored("gateway-dies") == (lines, lines), 60, "every line is stored once")


def test_ctrl_c_says_what_was_sent_and_the_file_may_be_published_again(broken: Broken) -> None:
    """While it waits for a gateway that is gone: exit 1 and one line; published again, every line is stored once."""
    lines = 30_000
    path, before = file_of(broken.folder, "interrupted", lines), accepted(broken.gateway)
    publisher = broken.publish(path)
    wait_until(lambda: accepted(broken.gateway) > before, 60, "some events are accepted")
    broken.gateway.kill()
    wait_until(lambda: publisher.says("waiting: "), 30, "it waits")
    publisher.process.send_signal(signal.SIGINT)
    assert publisher.process.wait(10) == 1
    *_, counts, last = publisher.screen()
    answered = int(counts.split()[0])
    assert 0 < answered < lines
    so_far = f"{answered} of {lines} lines are answered for, of the others some may have arrived"
    assert last == f"telemetry: interrupted; {so_far}; publish the file again, what has arrived counts once"
    broken.start_gateway()
    wait_until(lambda: ready(broken.gateway), 60, "the gateway is back")
    assert broken.publish(path).process.wait(120) == 0
    wait_until(lambda: broken.stored("interrupted") == (lines, lines), 60, "every line is stored once")


def test_patience_that_has_ended_is_exit_1_and_a_line(broken: Broken) -> None:
    """Nobody listens and nobody will: after --patience it gives up, and says what for."""
    elsewhere = Broken(broken.stack, broken.folder, free_port(), broken.gateway, {})
    publisher = elsewhere.publish(file_of(broken.folder, "nobody", 10), "--patience", "1")
    assert publisher.process.wait(30) == 1
    last = publisher.screen()[-1]
    assert last.startswith(f"telemetry: gave up after 1 s: the gateway at http://127.0.0.1:{elsewhere.gateway_port} does not answer")
    assert "; 0 of 10 lines are answered for" in last


@pytest.mark.timeout(240)
def test_everybody_outlives_a_broker_that_is_killed(broken: Broken) -> None:
    """SIGKILL in the middle of a file, then away for longer than any session: the gateway refuses, all others wait, nothing is lost."""
    lines = 100_000
    roles = {**broken.others, "gateway": broken.gateway}
    written = {name: role.log.read_bytes().count(b"\n") for name, role in roles.items()}
    publisher = broken.publish(file_of(broken.folder, "broker-dies", lines), "--kafka")
    wait_until(lambda: broken.stored("broker-dies")[0] > 0, 60, "some events are stored")
    folder, port = broken.folder / "kafka", int(broken.stack.kafka.rsplit(":", 1)[1])
    pid = broker_pid(folder)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_ended(pid), 10, "it is dead")
    killed_at = time.monotonic()
    status, retry_after, took_s = refused(broken.gateway)
    assert (status, retry_after >= 1) == (503, True)
    assert took_s < 8
    wait_until(lambda: publisher.says("waiting: sending to nutricoach.telemetry.events.v1: Kafka does not answer"), 30, "it says so")
    wait_until(lambda: time.monotonic() - killed_at > AWAY_S, 60, "the outage lasts")
    (folder / "kafka.log").rename(folder / "first-life.log")
    with ExitStack() as second_life:
        second_life.enter_context(embedded_broker(folder, port))
        assert publisher.process.wait(120) == 0, publisher.screen()
        wait_until(lambda: broken.stored("broker-dies") == (lines, lines), 90, "every line is stored once")
        wait_until(lambda: all(ready(role) for role in roles.values()), 60, "every role is ready, the same processes")
        for name, role in roles.items():
            told = role.log.read_bytes().count(b"\n") - written[name]
            assert told <= LINES_OF_AN_OUTAGE, f"{name}: {told} lines"
        broken.stack.stop_roles()


def refused(gateway: Role) -> tuple[int, int, float]:
    """Status and Retry-After of a request, and how long it took."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/events", data=view("refused", 1), headers=headers)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, 0, time.monotonic() - began
    except urllib.error.HTTPError as error:
        return error.code, int(error.headers["Retry-After"]), time.monotonic() - began
