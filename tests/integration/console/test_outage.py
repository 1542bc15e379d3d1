from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.embedded.ports import free_port
from pipeline.embedded.readiness import is_ready
from pipeline.runtime.topics_admin import ensure_topics
from tests.freezing import freeze
from tests.integration.console.consoles import SLACK, commands_on, console, new_alert, publish, settings
from tests.stack_fixtures import broker_to_harm
from tests.unit.console.signing import pressed, slack_headers
from tests.waiting import wait_until

BACK_WITHIN_S = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Bootstrap servers and process id of a broker that may be harmed."""
    with broker_to_harm(tmp_path / "kafka") as broker:
        yield broker


@pytest.mark.long
async def test_a_kafka_that_hangs_acknowledges_nothing_and_loses_nothing(broker: tuple[str, int]) -> None:
    """SIGSTOP: 503 within Slack's three seconds, again and again; SIGCONT: the same request is taken, and is one command."""
    kafka, pid = broker
    await ensure_topics(kafka)
    alert = new_alert()
    await publish(kafka, alert)
    async with console(settings(kafka)) as client:
        await client.ready()
        body = pressed(("ack", alert.incident_key))
        freeze(pid)
        for _ in range(3):
            began_at = time.monotonic()
            answer = await client.post("/webhooks/slack", body, slack_headers(SLACK, body, int(time.time())))
            assert (answer.status, answer.json["error"]) == (503, "kafka_unavailable")
            assert time.monotonic() - began_at < 3
        assert (await client.get("/readyz"))[0] == 503
        os.kill(pid, signal.SIGCONT)
        headers = slack_headers(SLACK, body, int(time.time()))
        async with asyncio.timeout(BACK_WITHIN_S):
            while (answer := await client.post("/webhooks/slack", body, headers)).status == 503:
                await asyncio.sleep(0.2)
        assert answer.status == 200
        await client.ready()
    assert {command["command_id"] for command in await commands_on(kafka, alert.incident_key)} == set(answer.json["command_ids"])


def test_the_role_says_where_it_is_tells_no_secret_and_ends_on_sigterm(kafka: str, tmp_path: Path) -> None:
    """`telemetry console`: ready, stopped with 0 within seconds; a taken port is exit 2 and one line with the settings."""
    asyncio.run(ensure_topics(kafka))
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("TELEMETRY_")}
    env |= {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": kafka, "TELEMETRY_CONSOLE__PORT": str(port), "PYTHONPATH": str(Path.cwd())}
    env |= {"TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET": "secret-one", "TELEMETRY_CONSOLE__PAGERDUTY_SECRETS": "secret-two,secret-three"}
    command = [sys.executable, "-m", "pipeline.cli.main", "console"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=tmp_path)
    try:
        wait_until(lambda: is_ready(f"http://127.0.0.1:{port}/readyz"), 30, "the console is ready")
        second = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 2
        assert second.stderr.splitlines()[-1].startswith(f"telemetry: the console cannot listen on 127.0.0.1:{port}")
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    written = (tmp_path / "log").read_text()
    assert f'"url":"http://127.0.0.1:{port}"' in written
    assert "secret-" not in written
