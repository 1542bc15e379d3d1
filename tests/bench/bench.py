"""What a section of the benchmark gets, and what it gives back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.bench.rig import Rig

Row = dict[str, Any]


@dataclass(slots=True)
class Bench:
    """`events` and `rounds` are BENCH_EVENTS and BENCH_ROUNDS."""

    rig: Rig
    events: int
    rounds: int
    _began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line of progress."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        sys.stderr.write(f"[{minutes:02d}:{seconds:02d}] {text}\n")
        sys.stderr.flush()


#: Measures something and returns lists of rows by their key in build/bench.json.
Section = Callable[[Bench], dict[str, list[Row]]]
