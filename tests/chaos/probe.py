"""What a process under attack writes down, and where it dies or freezes by itself. Put around the product from outside.

CHAOS_TRACES names the folder for what it writes, one JSON object a line; CHAOS_ORDER the file in which it finds an order (`faults.Order`).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import orjson

from tests.chaos.faults import Order, Point, When


class Trace:
    """Lines go to the kernel one by one: a SIGKILL loses none of them."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, what: str, **fields: Any) -> None:
        os.write(self._file, orjson.dumps({"t": time.monotonic_ns(), "what": what, **fields}) + b"\n")


class Probe:
    """The trace, and the order as long as its file is there; `reached` is called on both sides of every effect."""

    def __init__(self, trace: Trace, order_file: Path) -> None:
        self.trace, self._order_file = trace, order_file
        self._passed = 0

    @classmethod
    def from_environment(cls, role: str) -> Probe:
        return cls(Trace(Path(os.environ["CHAOS_TRACES"]) / f"{role}-{os.getpid()}.ndjson"), Path(os.environ["CHAOS_ORDER"]))

    def reached(self, when: When, effect: str) -> None:
        """Obey, when this is where the order says so."""
        order = self._order()
        if order is None or order.point != Point(when, effect):
            return
        self._passed += 1
        if self._passed < order.nth:
            return
        self._passed = 0
        self._order_file.unlink(missing_ok=True)
        self.trace.say("obeyed", order=str(order))
        os.kill(os.getpid(), signal.SIGKILL if order.action == "kill" else signal.SIGSTOP)

    def _order(self) -> Order | None:
        try:
            return Order.parse(self._order_file.read_text("utf-8"))
        except FileNotFoundError:
            return None
