"""Which core the measured process runs on, and which everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """`worker` is one core; `rest` are the others, or the same one where there is no other."""

    worker: frozenset[int]
    rest: frozenset[int]


def choose_cores(usable: set[int]) -> Cores:
    """The last core for the worker: interrupts and the system's own processes tend to be on the first."""
    last = max(usable)
    return Cores(frozenset({last}), frozenset(usable - {last}) or frozenset({last}))


@contextmanager
def pinned_to(cores: frozenset[int]) -> Iterator[None]:
    """Processes started inside are confined to `cores` from their first instruction, with all their threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
