from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from alerting.notify.slack import slack_message
from tests.contract.notify.incidents import notification


@pytest.mark.parametrize("name", ["slack", "pagerduty"])
async def test_a_receiver_runs_as_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    """It prints its address, checks and records what it gets with the time, and misbehaves when it is told to."""
    record = tmp_path / "received.jsonl"
    command = [sys.executable, "-m", f"tests.receivers.{name}", "--port", "0", "--record", str(record)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert process.stdout is not None
    try:
        url = process.stdout.readline().decode().strip()
        before_ms = time.time_ns() // 1_000_000
        async with aiohttp.ClientSession() as session:
            statuses = []
            await session.post(f"{url}/misbehave", json=[{"status": 429, "retry_after_s": 3}])
            for body in (slack_message(notification()), {"text": "<!channel>"}, slack_message(notification())):
                async with session.post(f"{url}/services/x", json=body) as response:
                    statuses.append((response.status, response.headers.get("Retry-After")))
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["status"] for line in lines] == [status for status, _ in statuses]
    assert all(before_ms <= line["received_at_ms"] <= time.time_ns() // 1_000_000 for line in lines)
    assert statuses == [(429, "3"), (400, None), (200 if name == "slack" else 400, None)]
