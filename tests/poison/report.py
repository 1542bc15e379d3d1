"""What a row of the poison list cost a process, and the bounds it must keep."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MAX_EXTRA_BYTES: Final = 64 << 20
MAX_DELAY_S: Final = 1.0


def resident_bytes(pid: int) -> int:
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most it has had resident since `forget_peak`."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2].split()[0]) * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """`extra_bytes` is the peak above what the process had before the list, `delay_s` a neighbour's above the usual."""

    name: str
    outcome: str
    extra_bytes: int
    delay_s: float
    problems: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """Everything that is not as promised, each with the row's name."""
        bounds = {"too much memory": self.extra_bytes > MAX_EXTRA_BYTES, "a neighbour came too late": self.delay_s > MAX_DELAY_S}
        return [f"{self.name}: {problem}" for problem in [*self.problems, *(text for text, broken in bounds.items() if broken)]]

    def __str__(self) -> str:
        broken = "; ".join(complaint.partition(": ")[2] for complaint in self.complaints())
        return f"{self.name:36} {self.outcome:28} {self.extra_bytes / (1 << 20):+6.1f} MiB {self.delay_s:+6.2f} s {broken}".rstrip()


def show(title: str, rows: Iterable[Row]) -> None:
    """The table, for whoever runs pytest with -s."""
    sys.stdout.write("\n".join(["", title, *map(str, rows), ""]))
