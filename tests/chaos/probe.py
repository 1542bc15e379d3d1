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
    """The trace, and the order if there is one; `reached` is called on both sides of every effect."""

    def __init__(self, trace: Trace, order_file: Path) -> None:
        self.trace, self._order_file = trace, order_file
        self._order: Order | None = None
        self._passed = 0

    @classmethod
    def from_environment(cls, role: str) -> Probe:
        return cls(Trace(Path(os.environ["CHAOS_TRACES"]) / f"{role}-{os.getpid()}.ndjson"), Path(os.environ["CHAOS_ORDER"]))

    def reached(self, when: When, effect: str) -> None:
        """Obey, when this is where the order says so."""
        order = self._order or self._look()
        if order is None or order.point != Point(when, effect):
            return
        self._passed += 1
        if self._passed < order.nth:
            return
        self._order = None
        self.trace.say("obeyed", order=str(order))
        os.kill(os.getpid(), signal.SIGKILL if order.action == "kill" else signal.SIGSTOP)

    def _look(self) -> Order | None:
        try:
            text = self._order_file.read_text("utf-8")
        except FileNotFoundError:
            return None
        self._order_file.unlink()
        self._order, self._passed = Order.parse(text), 0
        self.trace.say("ordered", order=text)
        return self._order
