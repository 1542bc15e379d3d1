from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer

from schemas.command import Ack
from schemas.timestamps import from_ms
from schemas.topics import COMMANDS
from tests.integration.alerting.roles import Traffic, environment, read_topic, role, the_active, traffic, until

MENUS = "Menu Generation Critical"


async def events_of(broker: str) -> list[dict[str, object]]:
    return [event for event in await read_topic(broker, "escalations.v1") if event["rule"] == MENUS]


async def event(broker: str, name: str, load: Traffic, within_s: float = 40.0) -> dict[str, object]:
    """The first event of that name, while the partitions go on flushing."""
    deadline = time.monotonic() + within_s
    while True:
        found = [one for one in await events_of(broker) if one["event"] == name]
        if found:
            return found[0]
        assert time.monotonic() < deadline, f"no {name}"
        await load.idle(60)


async def acknowledge(broker: str, key: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        command = Ack(command_id="c-1", at=from_ms(time.time_ns() // 1_000_000), by="alice", incident_key=key)
        await producer.send_and_wait(COMMANDS.name, command.model_dump_json().encode(), key.encode())
    finally:
        await producer.stop()


async def test_an_alerter_that_slept_through_an_acknowledgement_pages_nobody_when_it_wakes(broker: str, tmp_path: Path) -> None:
    """SIGSTOP; another one takes over and obeys an acknowledgement; SIGCONT after the next step's time: that step never comes."""
    env = environment(broker)
    async with traffic(broker) as load:
        with ExitStack() as processes:
            pair = [processes.enter_context(role("alerter", env, tmp_path)) for _ in range(2)]
            await until(lambda: all(one.ready() for one in pair), "both are ready")
            sleeper = await the_active(pair)
            other = next(one for one in pair if one is not sleeper)
            for start in range(0, 50, 10):
                await load.pane(start)
            await load.pane(50, good=0, failed=40)
            opened = await event(broker, "opened", load)
            sleeper.signal(signal.SIGSTOP)
            await until(other.active, "the other one has taken over")
            await acknowledge(broker, str(opened["incident_key"]))
            await event(broker, "acked", load)
            plan = opened["plan"]
            assert isinstance(plan, list)
            step_1_at = datetime.fromisoformat(plan[1]["due_at"]).timestamp()
            await until(lambda: time.time() > step_1_at + 1, "the time of step 1", 40)
            sleeper.signal(signal.SIGCONT)
            await until(
                lambda: (
                    any("state is read again" in line["event"] or "left the group" in line["event"] for line in sleeper.lines())
                    or not sleeper.active()
                ),
                "it has noticed",
            )
            assert [one.stop() for one in pair] == [0, 0]
    assert [(one["event"], one["target"]) for one in await events_of(broker)] == [
        ("opened", None),
        ("step_due", "slack-critical"),
        ("step_due", "pagerduty"),
        ("acked", None),
    ]
