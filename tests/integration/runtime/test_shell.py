from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from pipeline.embedded.ports import free_port
from tests.integration.runtime.effects_worker import Plan
from tests.integration.runtime.processes import effect_count, worker
from tests.integration.runtime.topics import committed, new_topic, numbered, produce, until

FAUST = (str(Path(sys.executable).parent / "faust"), "-A", "tests.integration.runtime.effects_worker", "worker")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_faust_s_own_command_runs_the_role_and_stops_it_cleanly(kafka: str, tmp_path: Path, stop: signal.Signals) -> None:
    """Exit status 0, everything committed, JSON lines that say the role, and nothing left where the process stood."""
    topic = await new_topic(kafka, 2)
    plan = Plan(kafka, topic, str(tmp_path / "effects"))
    await produce(kafka, topic, numbered(2, 100))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with worker(plan, tmp_path, "worker", command=FAUST, cwd=elsewhere) as process:
        await until(lambda: effect_count(plan) == 200)
        process.send(stop)
        assert (await process.exited())[0] == 0
    assert await committed(kafka, topic) == {0: 100, 1: 100}
    assert list(elsewhere.iterdir()) == []
    lines = [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]
    assert {line["role"] for line in lines} == {"worker"}
    assert any(line["event"] == "health is served" for line in lines)


@pytest.mark.parametrize("command", [(sys.executable, "-m", "tests.integration.runtime.effects_worker"), FAUST])
async def test_a_bug_ends_the_process_with_status_1_and_one_line(kafka: str, tmp_path: Path, command: tuple[str, ...]) -> None:
    """The stack is for the log, as one JSON line; a person gets the name of the error."""
    topic = await new_topic(kafka, 1)
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="bug")
    async with worker(plan, tmp_path, "worker", command=command) as process:
        assert (await process.exited())[0] == 1
    assert process.stderr == "telemetry worker: ended by a bug, KeyError: 24 (the log has the stack)\n"
    lines = [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]
    assert any("raise KeyError(len(secret_of_a_user))" in line.get("exception", "") for line in lines)


async def test_no_broker_ends_the_process_with_status_1_and_its_address(tmp_path: Path) -> None:
    """Without a stack, also in the log: nothing is broken but the address."""
    address = f"127.0.0.1:{free_port()}"
    async with worker(Plan(address, "events.v1", str(tmp_path / "effects")), tmp_path, "worker") as process:
        assert (await process.exited())[0] == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"telemetry worker: no Kafka broker answers at {address}")
    assert "Traceback" not in process.log
    assert json.loads(process.log.splitlines()[-1])["level"] == "critical"


async def test_a_taken_port_ends_the_process_with_the_setting_to_change(kafka: str, tmp_path: Path) -> None:
    """The health server starts before anything is read."""
    topic = await new_topic(kafka, 1)
    port = kafka.rsplit(":", 1)[1]
    environment = {"TELEMETRY_HEALTH__PORT": port}
    async with worker(Plan(kafka, topic, str(tmp_path / "effects")), tmp_path, "worker", environment=environment) as process:
        assert (await process.exited())[0] == 1
    assert f"cannot serve health on 127.0.0.1:{port}" in process.stderr
    assert "TELEMETRY_HEALTH__PORT" in process.stderr


async def test_a_secret_of_the_settings_is_in_no_line_of_the_log(kafka: str, tmp_path: Path) -> None:
    """Whoever writes it, and however it is quoted."""
    topic = await new_topic(kafka, 1)
    secret = "hunter2-is-the-password"
    plan = Plan(kafka, topic, str(tmp_path / "effects"), fault="stop with the password")
    async with worker(plan, tmp_path, "worker", environment={"TELEMETRY_CLICKHOUSE__PASSWORD": secret}) as process:
        assert (await process.exited())[0] == 1
    assert "cannot log in with ***" in process.log
    assert secret not in process.log + process.stderr
