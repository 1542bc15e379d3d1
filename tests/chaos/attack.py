"""Carries a schedule out on a stack, and says what happened."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.faults import Fault, Kind
from tests.chaos.processes import Process, until
from tests.chaos.proxy import FLOW, HANG, REFUSE
from tests.chaos.stack import Stack

#: A process that does not come to the place of its order in this time is killed or frozen wherever it is.
_OBEYS_WITHIN_S: Final = 12.0
#: More than twice what a worker gives its open chunks, its commit and its leaving the group.
_STOPS_WITHIN_S: Final = 30.0
#: What a worker that woke up takes at most to hear from the broker.
_WAKES_WITHIN_S: Final = 10.0
_STORM_STEP_S: Final = 3.5
_STORM_PAUSE_S: Final = 0.5

Say = Callable[[str], None]


@dataclass
class Attack:
    """`killed`: pids of workers that a SIGKILL ended; `stubborn`: those that a SIGTERM did not; `at_effects`: where orders were obeyed."""

    stack: Stack
    say: Say
    killed: list[int] = field(default_factory=list)
    stubborn: list[str] = field(default_factory=list)
    done: Counter[Kind] = field(default_factory=Counter)
    at_effects: Counter[str] = field(default_factory=Counter)
    _visitors: int = 0
    _zombies: list[Process] = field(default_factory=list)
    _falling_asleep: int = 0

    async def run(self, faults: list[Fault]) -> None:
        """Return when the last fault is over and what it broke runs again."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                group.create_task(self._carry_out(fault))

    async def _carry_out(self, fault: Fault) -> None:
        if fault.kind is not Kind.FREEZE_AT:
            await until(lambda: not self._falling_asleep, _OBEYS_WITHIN_S)
        match fault.kind:
            case Kind.KILL | Kind.TERMINATE | Kind.KILL_AT | Kind.FREEZE | Kind.FREEZE_AT:
                said = await self._at_worker(fault)
            case Kind.STORM:
                said = await self._storm(fault.seconds)
            case Kind.BROKER:
                await until(lambda: not self._zombies, _STOPS_WITHIN_S)
                said = await self._server("broker", fault.seconds)
            case Kind.WAREHOUSE:
                self._proxy(REFUSE)
                said = await self._server("warehouse", fault.seconds)
                self._proxy(FLOW)
            case Kind.HANG:
                said = await self._hang(fault.seconds)
            case Kind.ALERTER | Kind.NOTIFIER:
                name = "alerter" if fault.kind is Kind.ALERTER else "notifier"
                self.stack.processes[name].send(signal.SIGKILL)
                said = "killed"
            case Kind.GATEWAY_AT:
                said = await self._gateway_at(fault)
        self.done[fault.kind] += 1
        self.say(f"{fault}: {said}")

    async def _at_worker(self, fault: Fault) -> str:
        worker = await self._running(fault.worker)
        match fault.kind:
            case Kind.KILL:
                self._kill(worker)
                return f"{worker.name} killed"
            case Kind.TERMINATE:
                return await self._terminate(worker)
            case Kind.KILL_AT:
                return await self._kill_at(worker, fault)
            case Kind.FREEZE_AT:
                return await self._freeze_at(worker, fault)
            case _:
                return await self._freeze(worker, fault.seconds, "stopped")

    async def _running(self, number: int) -> Process:
        """That worker; if it is dead or a zombie, the next one that is not; if all are, the first that is back."""
        workers = self.stack.workers
        found: list[Process] = []

        def look() -> bool:
            turn = workers[number % len(workers) :] + workers[: number % len(workers)]
            found.extend(worker for worker in turn if worker.alive() and not worker.frozen() and worker not in self._zombies)
            return bool(found)

        await until(look, _STOPS_WITHIN_S)
        return (found or workers)[0]

    def _kill(self, worker: Process) -> None:
        self.killed.append(worker.pid)
        worker.send(signal.SIGKILL)

    async def _kill_at(self, worker: Process, fault: Fault) -> str:
        assert fault.order is not None
        pid = worker.pid
        worker.order(fault.order)
        obeyed = await worker.ended(pid, _OBEYS_WITHIN_S)
        self.killed.append(pid)
        if not obeyed and worker.pid == pid:
            worker.send(signal.SIGKILL)
            return f"{worker.name} did not come to it, killed elsewhere"
        self.at_effects[str(fault.order.point)] += 1
        return f"{worker.name} killed there"

    async def _terminate(self, worker: Process) -> str:
        pid, began = worker.pid, time.monotonic()
        worker.send(signal.SIGTERM)
        if await worker.ended(pid, _STOPS_WITHIN_S):
            return f"{worker.name} ended after {time.monotonic() - began:.1f} s"
        if worker.pid == pid:
            self._kill(worker)
        self.stubborn.append(f"{worker.name} (pid {pid}) did not end within {_STOPS_WITHIN_S:.0f} s of a SIGTERM")
        return self.stubborn[-1]

    async def _freeze_at(self, worker: Process, fault: Fault) -> str:
        """Nothing else happens until it sleeps; nobody is let at it, nor at the broker, until it is awake and was refused a commit."""
        assert fault.order is not None
        self._zombies.append(worker)
        try:
            worker.order(fault.order)
            self._falling_asleep += 1
            obeyed = await until(worker.frozen, _OBEYS_WITHIN_S)
            self._falling_asleep -= 1
            worker.withdraw()
            self.at_effects.update([str(fault.order.point)] if obeyed else [])
            said = await self._freeze(worker, fault.seconds, "there" if obeyed else "did not come to it, stopped elsewhere")
            await until(lambda: not worker.alive() or self._was_refused(worker), _WAKES_WITHIN_S)
            return said
        finally:
            self._zombies.remove(worker)

    def _was_refused(self, worker: Process) -> bool:
        trace = self.stack.folder / "traces" / f"worker-{worker.pid}.ndjson"
        return trace.exists() and b"commit_refused" in trace.read_bytes()

    async def _freeze(self, worker: Process, seconds: float, how: str) -> str:
        pid = worker.pid
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if worker.pid == pid:
            worker.send(signal.SIGCONT)
        return f"{worker.name} {how}, goes on now"

    async def _storm(self, seconds: float) -> str:
        """Visitors join and leave, by SIGTERM and by SIGKILL in turn."""
        end = time.monotonic() + seconds
        leaving: list[asyncio.Task[None]] = []
        while time.monotonic() < end:
            self._visitors += 1
            visitor = self.stack.add_worker(f"visitor-{self._visitors}")
            visitor.held = True
            visitor.start()
            await until(visitor.is_ready, _STORM_STEP_S)
            if self._visitors % 2:
                leaving.append(asyncio.create_task(asyncio.to_thread(visitor.stop, _STOPS_WITHIN_S)))
            else:
                self._kill(visitor)
            await asyncio.sleep(_STORM_PAUSE_S)
        await asyncio.gather(*leaving)
        return f"{self._visitors} workers joined and left"

    async def _server(self, name: str, down_s: float) -> str:
        server = self.stack.processes[name]
        server.held = True
        server.send(signal.SIGKILL)
        await asyncio.sleep(down_s)
        began = time.monotonic()
        server.start()
        server.held = False
        await server.until_ready()
        return f"back, ready {time.monotonic() - began:.1f} s after its start"

    async def _hang(self, seconds: float) -> str:
        self._proxy(HANG)
        await asyncio.sleep(seconds)
        self._proxy(FLOW)
        return "goes on"

    def _proxy(self, asked: signal.Signals) -> None:
        self.stack.processes["proxy"].send(asked)

    async def _gateway_at(self, fault: Fault) -> str:
        assert fault.order is not None
        gateway = self.stack.processes["gateway"]
        await until(gateway.is_ready, _OBEYS_WITHIN_S)
        pid = gateway.pid
        gateway.order(fault.order)
        if await gateway.ended(pid, _OBEYS_WITHIN_S):
            self.at_effects[str(fault.order.point)] += 1
            return "killed there"
        gateway.withdraw()
        gateway.send(signal.SIGKILL)
        return "did not come to it, killed elsewhere"
