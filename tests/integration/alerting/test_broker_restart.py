from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.embedded.ports import free_port
from pipeline.runtime.topics_admin import ensure_topics
from tests.freezing import freeze
from tests.integration.alerting.roles import environment, read_topic, role, traffic, until
from tests.receivers.slack import slack
from tests.stack_fixtures import broker_to_harm, embedded_broker

MENUS = "Menu Generation Critical"


@pytest.mark.long
async def test_alerter_and_notifier_outlive_the_broker(tmp_path: Path) -> None:
    """Kafka is stopped while an incident is open and started again: the same processes go on, and tell of its end once."""
    port, folder = free_port(), tmp_path / "kafka"
    async with slack() as receiver:
        with ExitStack() as first_life, ExitStack() as processes:
            broker = first_life.enter_context(embedded_broker(folder, port))
            await ensure_topics(broker)
            env = environment(broker, receiver)
            roles = [processes.enter_context(role(name, env, tmp_path)) for name in ("alerter", "notifier")]
            await until(lambda: all(one.ready() for one in roles), "both are ready")
            async with traffic(broker) as load:
                for start in range(0, 50, 10):
                    await load.pane(start)
                await load.pane(50, good=0, failed=40)
                await receiver.wait_for(1)
                sources = load.sources
            first_life.close()
            with embedded_broker(folder, port):
                async with traffic(broker) as load:
                    load.sources = sources
                    for start in range(60, 160, 10):
                        await load.pane(start)
                await receiver.wait_for(2, 60)
                states = [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS]
                assert [one.stop() for one in roles] == [0, 0]
        assert states == ["firing", "resolved"]
        assert len([request for request in receiver.received if MENUS in request.body["text"]]) == 2


@pytest.mark.long
async def test_an_alerter_ends_soon_though_kafka_does_not_answer(tmp_path: Path) -> None:
    """A broker that hangs holds up neither leaving the group nor the producer: within 6 s, with 0 (it took 7 s, and may take 13)."""
    with broker_to_harm(tmp_path / "kafka") as (broker, broker_pid):
        await ensure_topics(broker)
        with role("alerter", environment(broker), tmp_path) as alerter:
            await until(lambda: any(line["event"] == "acts" for line in alerter.lines()), "it acts")
            freeze(broker_pid)
            try:
                began = time.monotonic()
                assert alerter.stop() == 0
                assert time.monotonic() - began < 6
            finally:
                os.kill(broker_pid, signal.SIGCONT)
