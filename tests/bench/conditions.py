"""What else the machine did while something was measured: figures of a busy machine must say so themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psutil


def busy_s() -> float:
    """CPU seconds of the whole machine so far, with what the hypervisor took for others."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def own_s() -> float:
    """CPU seconds so far of this process and of everything it has started, ended or not."""
    me = psutil.Process()
    return sum(_with_ended_children_s(process) for process in [me, *me.children(recursive=True)])


def _with_ended_children_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # ended since it was listed: its parent has its time by now, or soon
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


@dataclass(frozen=True, slots=True)
class Conditions:
    """From its making on."""

    _began_s: float = field(default_factory=time.monotonic)
    _busy_s: float = field(default_factory=busy_s)
    _own_s: float = field(default_factory=own_s)

    def row(self) -> dict[str, float]:
        """`seconds` since then, and `others_busy_cores`: how many cores others kept busy, on average; near 0 on a quiet machine."""
        seconds = time.monotonic() - self._began_s
        others_s = busy_s() - self._busy_s - (own_s() - self._own_s)
        return {"seconds": round(seconds), "others_busy_cores": round(max(0.0, others_s / seconds), 2)}
