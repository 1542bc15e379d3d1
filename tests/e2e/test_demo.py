from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

PANES = TopicPartition("nutricoach.telemetry.panes.v1", 0)
TELEMETRY = (sys.executable, "-m", "pipeline.cli.main")
#: A demo takes two and a half minutes on an idle machine.
PATIENCE_S = 400

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE_S + 60)]


class Played(NamedTuple):
    data_dir: Path
    exit_code: int
    said: str
    complained: str


def telemetry(*arguments: str, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TELEMETRY, *arguments], capture_output=True, text=True, timeout=within_s, check=False)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One whole demo, whose stack is left running."""
    data_dir = tmp_path_factory.mktemp("demo")
    try:
        done = telemetry("demo", "--keep", "--data-dir", str(data_dir), within_s=PATIENCE_S)
        yield Played(data_dir, done.returncode, done.stdout, done.stderr)
    finally:
        telemetry("down", "--data-dir", str(data_dir))


#: In the order in which an incident goes.
STEPS = (
    r"normal: .* \d+ menus, 0 failed",
    r"first failed menu is sent",
    r"the alert fires on alerts\.v1: error_rate > 5% is true: [\d.]+ % \(\d+ of \d+\)",
    r"slack-critical is paged",
    r"dev-team is paged",
    r"ceo is paged",
    r"acknowledged by demo: .*",
    r"dev-team is told of the acknowledgement",
    r"menus are answered again",
    r"the alert is resolved on alerts\.v1: error_rate > 5% is false: .*",
    r"slack-critical is told of the resolution",
    r"every event is on panes\.v1 and in ClickHouse",
)
ALSO = (
    r"pagerduty is paged",
    r"pagerduty is told of the acknowledgement",
    r"pagerduty is told of the resolution",
    r"618 of 618 item rows are replayed and accepted",
)


def when(played: Played, step: str) -> float:
    """Seconds from the first failed menu to `step`, a pattern, as the list at the end has it."""
    observed = played.said[played.said.index("What was observed") :]
    (after_s,) = re.findall(rf"^ *[\d.]+ s +([+-][\d.]+) s  {step}$", observed, re.MULTILINE)
    return float(after_s)


def test_every_step_is_observed_and_every_number_agrees(played: Played) -> None:
    """Exit 0; each step stands in the output once, with its time, in the order in which an incident goes."""
    assert (played.exit_code, played.complained) == (0, "")
    times = [when(played, step) for step in STEPS]
    # Alert, Slack and PagerDuty are watched side by side: what happens within half a second may be seen in any order.
    assert all(later - earlier > -0.5 for earlier, later in pairwise(times)), times
    assert [when(played, step) for step in ALSO]
    assert re.search(r"^All \d+ numbers agree\.$", played.said, re.MULTILINE)
    assert "DIFFERS" not in played.said


def test_times_are_those_of_the_rule_and_of_the_escalation(played: Played) -> None:
    """The next step comes 30 s after the page; the incident ends when the failures left the minute and 30 s more have passed."""
    assert 29.5 <= when(played, "ceo is paged") - when(played, "the alert fires .*") < 40
    assert 70 <= when(played, "the alert is resolved .*") - when(played, "menus are answered again") < 130


def test_it_says_what_is_real_and_how_to_go_on(played: Played) -> None:
    """What is simulated is said to be; with --keep the commands to look, to compare again and to stop are there to be copied."""
    real, simulated = (played.said.index(f"\n{word}\n") for word in ("Real", "Simulated"))
    assert "Online Retail II" in played.said[real:simulated]
    assert "stand-ins on this machine" in played.said[simulated:]
    for command in ("status", "alerts list --all", "demo --verify", "down"):
        assert f"telemetry {command} --data-dir {played.data_dir}" in played.said


async def test_one_corrupted_pane_is_named_and_the_exit_code_is_1(played: Played) -> None:
    """Another process writes one pane with one event too many to panes.v1: the comparison, right before, names that number."""
    before = telemetry("demo", "--verify", "--data-dir", str(played.data_dir))
    assert (before.returncode, before.stdout.count("DIFFERS")) == (0, 0), before.stdout + before.stderr
    status = json.loads(telemetry("status", "--format", "json", "--data-dir", str(played.data_dir)).stdout)
    pane = await corrupt_a_pane(status["kafka"])
    after = telemetry("demo", "--verify", "--data-dir", str(played.data_dir))
    assert after.returncode == 1
    wrong = [line for line in after.stdout.splitlines() if line.endswith("DIFFERS")]
    total = next(line for line in wrong if line.startswith("menu_generation provider=templates outcome=degraded events "))
    seen, by_sql = (int(number.replace(",", "")) for number in total.split()[-3:-1])
    assert seen == by_sql + 1
    assert any(f"in the pane of {pane['start'][11:19]}, events" in line for line in wrong)
    assert re.search(r"numbers differ: .*menu_generation provider=templates outcome=degraded events: seen", after.stdout)


async def corrupt_a_pane(kafka: str) -> dict[str, Any]:
    """One event more in the newest pane of answered menus, with a version beyond all others."""
    flush, pane = await newest_pane(kafka)
    corrupted = {**pane, "count": pane["count"] + 1, "version": pane["version"] + 1_000_000}
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        value = json.dumps({**flush, "watermark": None, "caught_up_at": None, "panes": [corrupted]}).encode()
        await producer.send_and_wait(PANES.topic, value, key=str(flush["source_partition"]).encode())
    finally:
        await producer.stop()
    return corrupted


async def newest_pane(kafka: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The flush and the pane in it: the last of answered menus on the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    try:
        consumer.assign([PANES])
        end = (await consumer.end_offsets([PANES]))[PANES]
        while await consumer.position(PANES) < end:
            for record in (await consumer.getmany(timeout_ms=200)).get(PANES, []):
                flush = json.loads(record.value)
                found += [(flush, pane) for pane in flush["panes"] if pane["labels"] == {"provider": "templates", "outcome": "degraded"}]
    finally:
        await consumer.stop()
    return found[-1]


def test_interrupt_stops_everything(tmp_path: Path) -> None:
    """Ctrl-C in the middle of the traffic: exit 130, it says so, and nothing of the stack is left running."""
    with subprocess.Popen(
        [*TELEMETRY, "demo", "--data-dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        try:
            assert any("normal: the templates answer" in line for line in demo.stdout)
            pids = [demo.pid, *roles_of(tmp_path)]
            os.kill(demo.pid, signal.SIGINT)
            assert demo.stdout.read().endswith("\nInterrupted: everything is stopped.\n")
            assert demo.stderr.read().count("\n") <= 1
            assert demo.wait(30) == 130
        finally:
            demo.kill()
            telemetry("down", "--data-dir", str(tmp_path))
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def roles_of(data_dir: Path) -> list[int]:
    status = json.loads(telemetry("status", "--format", "json", "--data-dir", str(data_dir)).stdout)
    assert len(status["roles"]) == 8
    return [role["pid"] for role in status["roles"].values()]
