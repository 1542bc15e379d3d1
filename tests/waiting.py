"""The one way in which tests and benchmarks wait for another process: they ask, and fail naming what did not come to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], within_s: float, what: str, every_s: float = 0.05) -> T:
    """Ask until `condition` is true and return what it was; AssertionError names `what` after `within_s`. It may raise to give up."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(every_s)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")
