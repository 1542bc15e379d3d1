from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from pipeline.cli.alerts import app
from pipeline.runtime.errors import ConfigurationError, Stop
from tests.integration.alerting.own_config import MENUS, write_config
from tests.integration.alerting.roles import environment, eventually, read_topic, role, traffic, until


async def command_line(*tokens: str) -> int:
    """What `telemetry alerts …` does, in this process."""
    return int(await asyncio.to_thread(lambda: app(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")))


async def test_an_incident_is_listed_and_acknowledged_from_the_command_line(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is in the list, its key may be shortened, the acknowledgement takes effect within a second, what is unknown is refused."""
    monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", broker)
    monkeypatch.chdir(tmp_path)
    assert await command_line("list") == 0
    assert capsys.readouterr().out == "no incident is open\n"
    env = environment(broker, config=write_config(tmp_path / "config", last_step="60s"))
    async with traffic(broker) as load:
        with role("alerter", env, tmp_path) as alerter:
            await until(alerter.ready, "ready")
            for start in range(0, 50, 10):
                await load.pane(start)
            await load.pane(50, good=0, failed=40)

            async def paged() -> bool:
                return any(event["event"] == "step_due" for event in await read_topic(broker, "escalations.v1") if event["rule"] == MENUS)

            await eventually(paged, 20, "it fires, and somebody is paged")
            assert await command_line("list", "--format", "json") == 0
            (incident,) = [one for one in json.loads(capsys.readouterr().out) if one["rule"] == MENUS]
            assert (incident["state"], incident["paged"], incident["acked_by"]) == ("firing", ["slack-critical"], "")
            key = incident["incident_key"]
            with pytest.raises(Stop, match="no incident's key begins with 00ff00ff"):
                await command_line("ack", "00ff00ff", "--by", "alice")
            with pytest.raises(ConfigurationError, match="--by is one line"):
                await command_line("ack", key, "--by", "alice\n<!channel>")
            assert await command_line("ack", key[:8], "--by", "alice") == 0
            sent_at = time.time()
            await until(lambda: any(line["event"] == "command" for line in alerter.lines()), "the command is obeyed", 5)
            assert time.time() - sent_at < 1.0
            assert await command_line("ack", key, "--by", "bob") == 0
            assert await command_line("list") == 0
            out = capsys.readouterr().out
            assert f"{MENUS} is acknowledged by alice; nobody else is paged" in out
            assert f"{MENUS} is acknowledged already, by alice" in out
            assert f"{key[:12]}  acknowledged  critical" in out
            assert alerter.stop() == 0
    acked = [event for event in await read_topic(broker, "escalations.v1") if event["event"] == "acked"]
    assert [(event["actor"], event["incident_key"]) for event in acked] == [("alice", key)]
