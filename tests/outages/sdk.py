"""`make outage-sdk`: a service publishes while its gateway is killed for a minute, and while it hangs for another.

A real broker, a real gateway, the SDK with its defaults in this process, at a rate that fills most of its queue. Prints how long the
calls took and what arrived, writes build/outage-sdk.json, and exits 0 only when every event is on Kafka.

    OUTAGE_SECONDS=60 OUTAGE_EVENTS_PER_S=150 python -m tests.outages.sdk
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_THREAD, getrusage
from typing import Any, NamedTuple

from pipeline.embedded.ports import HOST, free_port
from pipeline.embedded.readiness import is_ready
from pipeline.runtime.topics_admin import ensure_topics
from pipeline.sdk import Telemetry
from tests.contract.gateway.topic import events_topic
from tests.stack_fixtures import embedded_broker
from tests.waiting import wait_until

SERVICE = "menu-api"
BEFORE_S = 5.0
ARRIVES_WITHIN_S = 60.0


@dataclass
class Gateway:
    """A real gateway that is killed, or held still, and comes back on the same port."""

    kafka: str
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        env = {"TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": self.kafka, "TELEMETRY_GATEWAY__PORT": str(self.port)}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "pipeline.cli.main", "gateway"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **env})
        wait_until(lambda: is_ready(f"{self.url}/readyz"), 60, "the gateway is ready")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def send_signal(self, signum: int) -> None:
        assert self.process is not None
        self.process.send_signal(signum)


@contextmanager
def running_gateway(kafka: str, folder: Path) -> Iterator[Gateway]:
    gateway = Gateway(kafka, folder / "gateway.log")
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.kill()


class Call(NamedTuple):
    """How long a call took on the clock and of the processor; whether it waited for anything, and whether others took the core away."""

    wall_us: float
    cpu_us: float
    waited: bool
    disturbed: bool


def publish(telemetry: Telemetry, seconds: float, per_s: int, number: int) -> list[Call]:
    """Publish at a steady rate, numbered on from `number`."""
    calls: list[Call] = []
    began_s = time.monotonic()
    while (due_s := began_s + len(calls) / per_s) < began_s + seconds:
        time.sleep(max(0.0, due_s - time.monotonic()))
        before, began_ns, began_cpu_ns = getrusage(RUSAGE_THREAD), time.perf_counter_ns(), time.thread_time_ns()
        telemetry.recipe_view(recipe_id=str(number + len(calls)), time_spent_ms=1240.5, user_id=f"u-{len(calls) % 100}")
        cpu_ns, wall_ns, after = time.thread_time_ns() - began_cpu_ns, time.perf_counter_ns() - began_ns, getrusage(RUSAGE_THREAD)
        switches = after.ru_nvcsw - before.ru_nvcsw, after.ru_nivcsw - before.ru_nivcsw
        calls.append(Call(wall_ns / 1000, cpu_ns / 1000, switches[0] > 0, switches[1] > 0))
    return calls


def outage(
    telemetry: Telemetry, go: Callable[[], None], come: Callable[[], None], seconds: float, per_s: int, number: int
) -> dict[str, Any]:
    """One outage; what the calls cost before and during it, and how long the queue took to empty afterwards."""
    before = publish(telemetry, BEFORE_S, per_s, number)
    go()
    during = publish(telemetry, seconds, per_s, number + len(before))
    queued = telemetry.stats().queued
    come()
    back_s = time.monotonic()
    if not telemetry.flush(ARRIVES_WITHIN_S):
        raise SystemExit(f"not all events were taken within {ARRIVES_WITHIN_S:.0f} s: {telemetry.stats()}")
    empty_after_s = time.monotonic() - back_s
    return {
        "events": len(before) + len(during),
        "queued_at_the_end": queued,
        "empty_after_s": round(empty_after_s, 1),
        "before": figures(before),
        "during": figures(during),
    }


def figures(calls: list[Call]) -> dict[str, float]:
    """In us. `longest_undisturbed`: of the calls during which nobody else had the core; `waited`: how many gave it up themselves."""
    ordered = sorted(call.wall_us for call in calls)
    row = {name: ordered[math.ceil(place * len(ordered)) - 1] for name, place in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}
    row |= {"longest": ordered[-1], "longest_cpu": max(call.cpu_us for call in calls)}
    row["longest_undisturbed"] = max(call.wall_us for call in calls if not call.disturbed)
    row = {name: round(value, 1) for name, value in row.items()}
    return row | {"calls": len(calls), "disturbed": sum(call.disturbed for call in calls), "waited": sum(call.waited for call in calls)}


async def on_kafka(kafka: str) -> list[str]:
    """The ids of the service's events, as often as they are there."""
    async with events_topic(kafka, from_beginning=True) as topic:
        events = [json.loads(record.value) for record in await topic.read()]
    return [event["event_id"] for event in events if event["source"]["service"] == SERVICE]


def run(folder: Path, seconds: float, per_s: int) -> dict[str, Any]:
    with embedded_broker(folder / "kafka") as kafka:
        asyncio.run(ensure_topics(kafka))
        gc.collect()
        gc.freeze()  # a collection of what the tests have loaded is no part of a call
        with running_gateway(kafka, folder) as gateway, Telemetry(gateway.url, service=SERVICE, environment="outage") as telemetry:
            freeze = lambda: gateway.send_signal(signal.SIGSTOP)  # noqa: E731
            thaw = lambda: gateway.send_signal(signal.SIGCONT)  # noqa: E731
            killed = outage(telemetry, gateway.kill, gateway.start, seconds, per_s, 0)
            frozen = outage(telemetry, freeze, thaw, seconds, per_s, killed["events"])
            stats = telemetry.stats()
        ids = asyncio.run(on_kafka(kafka))
    published = killed["events"] + frozen["events"]
    seen = {"killed": killed, "frozen": frozen, "published": published, "sent": stats.sent, "dropped": dict(stats.dropped)}
    return seen | {"on_kafka": len(set(ids)), "repeats": len(ids) - len(set(ids)), "lost": published - len(set(ids))}


def main() -> None:
    seconds, per_s = float(os.environ.get("OUTAGE_SECONDS", "60")), int(os.environ.get("OUTAGE_EVENTS_PER_S", "150"))
    with tempfile.TemporaryDirectory() as folder:
        seen = run(Path(folder), seconds, per_s)
    text = json.dumps({"outage_s": seconds, "events_per_s": per_s, **seen}, indent=1)
    Path("build").mkdir(exist_ok=True)
    Path("build/outage-sdk.json").write_text(text + "\n")
    print(text)  # noqa: T201
    sys.exit(0 if seen["lost"] == 0 and not seen["dropped"] else 1)


if __name__ == "__main__":
    main()
