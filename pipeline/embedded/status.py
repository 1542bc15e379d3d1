"""What a stack looks like from outside: the processes as its supervisor wrote them down, readiness as each says itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from pipeline.embedded.readiness import is_ready
from pipeline.embedded.stack_state import Phase, RoleState, running_state

_STARTS_WITHIN_S = 30.0
_PROBE_TIMEOUT_S = 1.0


class Condition(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """`pid` is None while the role waits to be restarted."""

    pid: int | None
    state: Condition
    restarts: int
    url: str | None


def status(data_dir: Path) -> dict[str, Any]:
    """The answer of `telemetry status --format json`: {"state": "stopped"} alone when nothing runs on `data_dir`."""
    stack = running_state(data_dir)
    if stack is None:
        return {"state": Condition.STOPPED.value}
    with ThreadPoolExecutor(len(stack.roles)) as pool:
        answers = dict(zip(stack.roles, pool.map(lambda role: is_ready(role.ready, _PROBE_TIMEOUT_S), stack.roles.values()), strict=True))
    now = time.time() - psutil.boot_time()
    roles = {name: role_status(role, answers[name], now) for name, role in stack.roles.items()}
    return {
        "state": stack_condition(stack.phase, roles).value,
        "kafka": stack.kafka,
        "clickhouse": stack.clickhouse,
        "gateway": stack.gateway,
        "console": stack.console,
        "roles": {
            name: {"pid": role.pid, "state": role.state.value, "restarts": role.restarts, "url": role.url} for name, role in roles.items()
        },
    }


def role_status(role: RoleState, answers: bool, now: float) -> RoleStatus:
    """`answers`: it says it is ready; `now` in seconds since the machine's start, as `Process.started`."""
    if role.process is None or not role.process.is_alive():
        return RoleStatus(None, Condition.STOPPED, role.restarts, role.url)
    young = now - role.process.started < _STARTS_WITHIN_S
    condition = Condition.READY if answers else Condition.STARTING if young else Condition.DEGRADED
    return RoleStatus(role.process.pid, condition, role.restarts, role.url)


def stack_condition(phase: Phase, roles: Mapping[str, RoleStatus]) -> Condition:
    """Ready only when every role is."""
    if phase is Phase.STARTING:
        return Condition.STARTING
    all_ready = all(role.state is Condition.READY for role in roles.values())
    return Condition.READY if all_ready and phase is Phase.RUNNING else Condition.DEGRADED
