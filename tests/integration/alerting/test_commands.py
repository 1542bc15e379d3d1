from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.cli.alerts import app, rules
from pipeline.runtime.errors import ConfigurationError, Stop
from schemas.topics import COMMANDS, PANES
from tests.integration.alerting.roles import environment, read_topic, role, traffic, until

MENUS = "Menu Generation Critical"
NO_SUCH_PARTITION = b'{"source_partition":99,"last_offset":1,"watermark":"2026-11-23T10:00:00Z","caught_up_at":null,"panes":[]}'


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
    async with traffic(broker) as load:
        with role("alerter", environment(broker), tmp_path) as alerter:
            await until(alerter.ready, "ready")
            for start in range(0, 50, 10):
                await load.pane(start)
            await load.pane(50, good=0, failed=40)
            await until(lambda: any(line["event"] == "alert" and line["rule"] == MENUS for line in alerter.lines()), "it fires")
            assert await command_line("list", "--format", "json") == 0
            (incident,) = [one for one in json.loads(capsys.readouterr().out) if one["rule"] == MENUS]
            assert (incident["state"], incident["paged"], incident["acked_by"]) == ("firing", ["slack-critical", "pagerduty"], "")
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
            assert f"{key[:12]}  firing        critical" in out
            assert alerter.stop() == 0
    acked = [event for event in await read_topic(broker, "escalations.v1") if event["event"] == "acked"]
    assert [(event["actor"], event["incident_key"]) for event in acked] == [("alice", key)]


async def test_what_cannot_be_read_is_skipped(broker: str, tmp_path: Path) -> None:
    """Anyone may write to a topic: garbage in flushes and commands is logged, counted, and stops nothing."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for topic in (PANES.name, COMMANDS.name):
        for value in (b"", b"[]", b'{"panes":3}', b"\xff", b'{"action":"ack"}', NO_SUCH_PARTITION):
            await producer.send_and_wait(topic, value, b"k")
    await producer.stop()
    async with traffic(broker) as load:
        with role("alerter", environment(broker), tmp_path) as alerter:
            await until(alerter.ready, "ready")
            for start in range(0, 50, 10):
                await load.pane(start)
            await load.pane(50, good=0, failed=40)
            await until(lambda: any(line["event"] == "alert" and line["rule"] == MENUS for line in alerter.lines()), "it fires")
            assert alerter.stop() == 0
            refused = [line for line in alerter.lines() if line["event"].endswith("cannot be read, it is skipped")]
            assert len(refused) == 12


def test_the_shipped_rules_are_right(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`telemetry rules check` lists them; a folder without rules is refused with its first missing file."""
    assert rules(["check"], exit_on_error=False, result_action="return_value") == 0
    assert "Menu Generation Critical: error_rate > 5% OR avg_time > 30s -> slack-critical, pagerduty (critical)" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match=r"routes\.yaml"):
        rules(["check", str(tmp_path)], exit_on_error=False, result_action="return_value")
