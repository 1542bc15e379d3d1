from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from alerting.backtest import backtest
from alerting.config.load import load_config
from pipeline.runtime.errors import Stop
from schemas.decision import Decision
from schemas.timestamps import isoformat_of
from schemas.topics import PANES
from tests.integration.alerting.ledger import LEDGER, WATCHES_PIPELINE, essence, ledger
from tests.integration.alerting.roles import environment, eventually, outage_and_recovery, read_topic, role, traffic, until

MENUS = "Menu Generation Critical"
STRICTER = """\
rules:
  - name: Menu Generation Critical
    condition: error_rate > 90%
    channels: [slack-critical]
    severity: critical
    owner: dev-team
    window: 1m
    runbook: alerting/config/runbooks/menu-generation.md
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def recorded(broker: str, tmp_path: Path) -> tuple[int, int]:
    """An alerter judges five minutes with an outage in them; when that began and ended, ms.

    It begins once the alerter has heard of every partition: which ones a look at the clock finds silent before depends on when it looks.
    """
    async with traffic(broker) as load:
        with role("alerter", environment(broker), tmp_path) as alerter:
            await until(alerter.ready, "the alerter is ready")

            async def fired() -> bool:
                return [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS] == ["firing"]

            async def resolved() -> bool:
                return [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS] == [
                    "firing",
                    "resolved",
                ]

            async def acts() -> bool:
                return any(row["kind"] == "heartbeat" for row in await read_topic(broker, "decisions.v1"))

            async def all_flush() -> bool:
                rows = await read_topic(broker, "decisions.v1")
                return any(row["rule"] in WATCHES_PIPELINE and row["verdict"] == "false" for row in rows)

            await eventually(acts, 20, "the alerter acts")
            await load.pane(-10)
            await eventually(all_flush, 20, "every partition has been heard of")
            began_ms = now_ms() + 1_000
            await until(lambda: now_ms() >= began_ms, "a second has gone by since")
            await outage_and_recovery(load, lambda: eventually(fired, 20, "it fires"))
            await load.pane(160)
            await eventually(resolved, 20, "it is resolved")
            ended_ms = now_ms()
            assert alerter.stop() == 0
    return began_ms, ended_ms


@pytest.mark.long
async def test_a_backtest_is_the_live_ledger_row_for_row(broker: str, tmp_path: Path) -> None:
    """Over what a real alerter has read, the same code says the same: each row, its id, its numbers and its gates; no more and no less."""
    began_ms, ended_ms = await recorded(broker, tmp_path)
    seen: list[int] = []
    found = await backtest(broker, [("current", load_config())], began_ms, ended_ms, seen.append)
    said = [output for _, output in found.replays[0].said if isinstance(output, Decision) and output.kind in LEDGER]
    live = await ledger(broker, began_ms)
    assert {row[1] for row in live if row[0] == MENUS} == LEDGER
    assert sorted(essence(one.model_dump(mode="json")) for one in said) == live
    assert (found.flushes, seen == sorted(seen)) == (17 * 12, True)
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(STRICTER)
    report = await asyncio.to_thread(command, broker, began_ms, ended_ms, stricter)
    assert [len([fire for fire in rules["fires"] if fire["rule"] == MENUS]) for rules in report["rule_sets"]] == [1, 0]
    assert [fire["rule"] for fire in report["difference"]["only_first"] if fire["rule"] == MENUS] == [MENUS]
    before = (began_ms - 9_000_000, began_ms - 8_000_000)
    nothing = await backtest(broker, [("current", load_config())], *before, seen.append)
    assert (nothing.flushes, nothing.replays[0].said) == (0, []), "the log begins with the first flush there was: nothing is missing"
    await forget(broker, 12)
    with pytest.raises(Stop, match=r"^panes.v1 goes back to 20\S+; what is older cannot be replayed$"):
        await backtest(broker, [("current", load_config())], *before, seen.append)


async def forget(broker: str, before_offset: int) -> None:
    """What the broker does with flushes after three days."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.delete_records({TopicPartition(PANES.name, 0): RecordsToDelete(before_offset=before_offset)})
    await admin.close()


def command(broker: str, from_ms: int, to_ms: int, rules: Path) -> dict[str, Any]:
    """`telemetry rules backtest --rules … --format json`, as a person calls it."""
    call = [sys.executable, "-m", "pipeline.cli.main", "rules", "backtest", "--from", isoformat_of(from_ms), "--to", isoformat_of(to_ms)]
    env = {**os.environ, **environment(broker)}
    done = subprocess.run([*call, "--rules", str(rules), "--format", "json"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
