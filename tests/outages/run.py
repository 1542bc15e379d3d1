"""`make outage`: ClickHouse is killed for ten minutes under 1,000 events/s, an incident begins meanwhile, and everything is looked at.

Its own broker, engine, gateway, two workers, alerter, notifier and Slack; the load and the watching are outside of our processes.
Prints what was seen beside what was promised, writes build/outage.json, and exits 0 only when every promise was kept.

    OUTAGE_SECONDS=600 OUTAGE_EVENTS_PER_S=1000 python -m tests.outages.run
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pipeline.embedded.ports import free_port
from tests.integration.worker.own_stack import Warehouse, own_stack
from tests.integration.worker.stack import Role, Stack, ready
from tests.outages import verdicts
from tests.outages.watching import Watch
from tests.receivers.server import Receiver
from tests.receivers.slack import slack

WORKERS = 2
BEFORE_S = 30.0
AFTER_S = 20.0
PAGED_WITHIN_S = 60.0
RESOLVED_WITHIN_S = 240.0
CAUGHT_UP_WITHIN_S = 900.0


async def until(condition: Callable[[], Any], within_s: float, what: str) -> float:
    """Monotonic time at which `condition` was true; ends the program naming `what` when it does not become so."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise SystemExit(f"not seen within {within_s:.0f} s: {what}")
        await asyncio.sleep(0.05)
    return time.monotonic()


class Generator:
    """The load's process, and its answers."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def order(self, text: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{text}\n".encode())
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer


@asynccontextmanager
async def load(gateway_url: str, per_s: int) -> AsyncIterator[Generator]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.outages.load", gateway_url, str(per_s), stdin=PIPE, stdout=PIPE
    )
    try:
        yield Generator(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def start_roles(stack: Stack, slack_url: str) -> tuple[dict[str, Role], str]:
    """Every role by name, and the gateway's address."""
    port = free_port()
    roles = {f"worker-{number}": stack.start_worker() for number in range(WORKERS)}
    receivers = {"TELEMETRY_RECEIVERS__SLACK_CRITICAL__URL": f"{slack_url}/critical"}
    roles |= {"alerter": stack.start("alerter"), "notifier": stack.start("notifier", **receivers)}
    roles["gateway"] = stack.start("gateway", TELEMETRY_GATEWAY__PORT=str(port))
    roles["gateway"].url = f"http://127.0.0.1:{port}"
    return roles, roles["gateway"].url


def pages(receiver: Receiver, word: str) -> list[int]:
    """When the rule `word` (fires, is resolved) reached the critical channel, in ms since 1970."""
    begins = f"CRITICAL: Menu Generation Critical {word}"
    return [one.received_at_ms for one in receiver.received if one.status == 200 and one.body["text"].startswith(begins)]


async def outage(stack: Stack, warehouse: Warehouse, receiver: Receiver, seconds: float, per_s: int) -> dict[str, Any]:
    """Run it and return what was seen."""
    roles, gateway_url = start_roles(stack, receiver.url)
    await until(lambda: all(ready(role) for role in roles.values()), 60, "every role is ready")
    watch = Watch()
    async with load(gateway_url, per_s) as generator, asyncio.TaskGroup() as group:
        watching = [group.create_task(task) for task in (watch.processes(roles), watch.panes(stack), watch.progress(stack))]
        marks = {"begin": time.monotonic()}
        await asyncio.sleep(BEFORE_S)
        say(f"ClickHouse is killed for {seconds:.0f} s")
        await asyncio.to_thread(warehouse.kill)
        marks["away"] = time.monotonic()
        incident = await incident_while_away(generator, receiver, seconds)
        await asyncio.sleep(max(0.0, marks["away"] + seconds - time.monotonic()))
        counters = read_counters(roles)
        marks["back"] = time.monotonic()
        await asyncio.to_thread(warehouse.start)
        marks["answers"] = time.monotonic()
        say("ClickHouse is back")

        def caught_up() -> bool:
            return bool(watch.lag) and watch.lag[-1][0] > marks["answers"] and watch.lag[-1][1] <= 2 * per_s

        marks["caught_up"] = await until(caught_up, CAUGHT_UP_WITHIN_S, "the workers have caught up")
        await asyncio.sleep(AFTER_S)
        sent = await generator.order("stop")
        marks["end"] = time.monotonic()
        await until(lambda: pages(receiver, "is resolved"), RESOLVED_WITHIN_S, "the incident is resolved")
        stored = await verdicts.stored(stack, sent, until)
        for task in watching:
            task.cancel()
    incident["pages"], incident["resolutions"] = len(pages(receiver, "fires")), len(pages(receiver, "is resolved"))
    both = {name: {"away": counters[name], "end": after} for name, after in read_counters(roles).items()}
    return verdicts.seen(watch, marks, per_s, incident, sent, stored, both)


async def incident_while_away(generator: Generator, receiver: Receiver, seconds: float) -> dict[str, Any]:
    """Menus begin to fail a third into the outage, until Slack hears of it."""
    await asyncio.sleep(seconds / 3)
    failing_since_ms = (await generator.order("fail"))["at_ms"]
    await until(lambda: pages(receiver, "fires"), PAGED_WITHIN_S, "the page, while ClickHouse is away")
    await generator.order("heal")
    paged_after_s = (pages(receiver, "fires")[0] - failing_since_ms) / 1000
    say(f"paged {paged_after_s:.1f} s after the first failed menu, ClickHouse being away")
    return {"paged_after_s": paged_after_s}


def read_counters(roles: dict[str, Role]) -> dict[str, dict[str, float]]:
    """How often each worker let go of effects, and how many partitions it read again."""
    workers = {name: role for name, role in roles.items() if name.startswith("worker")}
    return {
        name: {
            "let_go": role.metric("nutricoach_worker_let_go_total"),
            "rewinds": role.metric("nutricoach_source_rewinds_total", "events.v1"),
            "records_read": role.metric("nutricoach_source_records_total", "events.v1"),
        }
        for name, role in workers.items()
    }


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


async def run(folder: Path, seconds: float, per_s: int) -> dict[str, Any]:
    async with AsyncExitStack() as opened:
        stack, warehouse = await asyncio.to_thread(opened.enter_context, own_stack(folder))
        receiver = await opened.enter_async_context(slack())
        return await outage(stack, warehouse, receiver, seconds, per_s)


def main() -> None:
    seconds, per_s = float(os.environ.get("OUTAGE_SECONDS", "600")), int(os.environ.get("OUTAGE_EVENTS_PER_S", "1000"))
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(run(Path(folder), seconds, per_s))
    promises = verdicts.promises(seen)
    document = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "outage_s": seconds,
        "events_per_s": per_s,
        **seen,
        "promises": [{"what": what, "seen": text, "kept": kept} for what, text, kept in promises],
    }
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "outage.json").write_text(json.dumps(document, indent=1) + "\n")
    say(verdicts.table(seen, promises))
    sys.exit(0 if all(kept for _, _, kept in promises) else 1)


if __name__ == "__main__":
    main()
