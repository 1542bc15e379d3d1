"""Runs a plan: servers, their steps, the roles; keeps them running; takes them down again the other way round."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.embedded.plan import Plan, StepSpec
from pipeline.embedded.readiness import is_ready
from pipeline.embedded.role_process import RoleProcess, backoff_s, end, last_line, rotated_size, spawn
from pipeline.embedded.sentinel import Sentinel
from pipeline.embedded.stack_state import Phase, Process, StackState, remove_state, write_state
from pipeline.runtime.errors import ConfigurationError, Stop

# All together stay below the 8 s after which `down` kills; a role usually ends in 1 to 2 s, and the servers have the rest.
_GRACE_S = 7.0
_ROLES_GRACE_S = 5.0

_READY_WITHIN_S = 90.0
_STEP_WITHIN_S = 60.0
_PROBE_INTERVAL_S = 0.1
_GIVE_UP_AFTER_ENDS = 3
_REWRITE_AFTER_S = 5.0
_NEARLY_FULL_BYTES = 64 << 20

Report = Callable[[str], None]
"""Takes one line for the person who waits."""


class Supervisor:
    """Owns every process of one stack on `data_dir`, which its process must hold (`stack_state.held`)."""

    def __init__(self, data_dir: Path, plan: Plan, report: Report) -> None:
        self._data_dir = data_dir
        self._plan = plan
        self._report_line = report
        self._phase = Phase.STARTING
        self._servers = [RoleProcess(spec, data_dir, self) for spec in plan.servers]
        self._roles = [RoleProcess(spec, data_dir, self) for spec in plan.roles]
        self._steps: set[int] = set()
        self._sentinel = Sentinel()
        self._rewriting: asyncio.TimerHandle | None = None

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Bring everything up, call `ready`, keep it up until `stop` is set; everything is down again on return.

        Raises Stop when a process does not come up: its text has the process's last line.
        """
        work = asyncio.create_task(self._work(ready))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        finally:
            self._phase = Phase.STOPPING
            await _cancel([work, stopped])
            await self._take_down()

    def started(self, pid: int) -> None:
        self._sentinel.watch(pid)
        self._write_state()

    def gone(self, pid: int) -> None:
        self._sentinel.forget(pid)
        self._write_state()

    def ended(self, role: RoleProcess) -> None:
        if self._phase is Phase.RUNNING:
            again = f"restarted in {backoff_s(role.ends_in_a_row):.0f} s"
            said = f"its last line: {role.last_words() or '(none)'}"
            self._report(f"{role.spec.name} {_how(role.exit_code)}, {again}; {said}{self._full_disk()}")

    def _full_disk(self) -> str:
        """What to do when that is why a process ended: a broker says it in a stack of Java's, if it can say anything."""
        free_bytes = shutil.disk_usage(self._data_dir).free
        if free_bytes >= _NEARLY_FULL_BYTES:
            return ""
        return f"; {free_bytes >> 20} MiB are free on the disk of {self._data_dir}: free some, and it goes on by itself"

    async def _work(self, ready: Callable[[], None]) -> None:
        self._write_state()
        try:
            async with asyncio.TaskGroup() as keeping:
                async with asyncio.TaskGroup() as starting:
                    for server in self._servers:
                        keeping.create_task(server.keep())
                        starting.create_task(self._bring_up(server))
                async with asyncio.TaskGroup() as starting:
                    for role in self._roles:
                        keeping.create_task(role.keep())
                        starting.create_task(self._await_ready(role))
                self._phase = Phase.RUNNING
                self._write_state()
                ready()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _bring_up(self, server: RoleProcess) -> None:
        await self._await_ready(server)
        for step in self._plan.steps:
            if step.after == server.spec.name:
                await self._run_step(step)

    async def _await_ready(self, role: RoleProcess) -> None:
        name, began = role.spec.name, time.monotonic()
        while not await asyncio.to_thread(is_ready, role.spec.ready):
            hopeless = role.ends_in_a_row >= _GIVE_UP_AFTER_ENDS or role.exit_code == ConfigurationError.exit_code
            if hopeless or time.monotonic() - began > _READY_WITHIN_S:
                raise Stop(f"{name} does not start: {role.last_words() or 'it says nothing'} (log: {role.log_file})")
            await asyncio.sleep(_PROBE_INTERVAL_S)  # another process starts to listen: nothing to wait on
        self._report(f"{name} is ready after {time.monotonic() - began:.1f} s")

    async def _run_step(self, step: StepSpec) -> None:
        log_file = self._data_dir / "logs" / f"{step.name}.log"
        offset, began = rotated_size(log_file), time.monotonic()
        process = await spawn(step.command, step.env, self._data_dir, log_file)
        self._steps.add(process.pid)
        self.started(process.pid)
        try:
            code = await asyncio.wait_for(process.wait(), _STEP_WITHIN_S)
        except TimeoutError:
            raise Stop(f"{step.name} is not done after {_STEP_WITHIN_S:.0f} s (log: {log_file})") from None
        finally:
            await end(process, 0)
            self._steps.remove(process.pid)
            self.gone(process.pid)
        if code != 0:
            raise Stop(f"{step.name} failed: {last_line(log_file, offset) or 'it says nothing'} (log: {log_file})")
        self._report(f"{step.name} done after {time.monotonic() - began:.1f} s")

    async def _take_down(self) -> None:
        began = time.monotonic()
        try:
            await asyncio.gather(*(role.stop(_ROLES_GRACE_S) for role in self._roles))
            left_s = _GRACE_S - (time.monotonic() - began)
            await asyncio.gather(*(server.stop(max(left_s, 0.0)) for server in self._servers))
        finally:
            self._cancel_rewriting()
            self._sentinel.close()
            remove_state(self._data_dir)

    def _cancel_rewriting(self) -> None:
        if self._rewriting is not None:
            self._rewriting.cancel()

    def _report(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk or a closed terminal: what runs goes on
            self._report_line(line)

    def _write_state(self) -> None:
        own = Process.of(os.getpid())
        assert own is not None
        helpers = [Process.of(pid) for pid in (self._sentinel.pid, *self._steps)]
        state = StackState(
            supervisor=own,
            phase=self._phase,
            kafka=self._plan.addresses.kafka,
            clickhouse=self._plan.addresses.clickhouse,
            gateway=self._plan.addresses.gateway,
            console=self._plan.addresses.console,
            roles={process.spec.name: process.state() for process in (*self._roles, *self._servers)},
            helpers=[helper for helper in helpers if helper is not None],
        )
        try:
            write_state(self._data_dir, state)
        except OSError as error:
            if self._phase is Phase.STARTING:
                raise
            # A stack that stopped itself for want of a status file would help nobody: it is written when there is space again.
            self._report(f"the state cannot be written to {self._data_dir}: {error.strerror}")
            self._cancel_rewriting()
            self._rewriting = asyncio.get_running_loop().call_later(_REWRITE_AFTER_S, self._write_state)


def _how(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is not None and exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is none of grouping; the others have the same cause or follow from it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
