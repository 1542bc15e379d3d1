from __future__ import annotations

from structlog.testing import capture_logs

from pipeline.runtime.waiting import REMINDER_S, Waiting


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now


def test_a_long_wait_is_few_lines() -> None:
    """An hour with an attempt a second: one line at the beginning, two a minute, one at the end that says how long it was."""
    clock = Clock()
    waiting = Waiting("writing rows", clock)
    with capture_logs() as lines:
        for _ in range(3_600):
            waiting.goes_on("away")
            clock.now += 1
        waiting.over()
        waiting.over()
    assert len(lines) == 3_600 / REMINDER_S + 1
    assert lines[0] == {"log_level": "warning", "event": "writing rows waits", "reason": "away", "since_s": 0.0}
    assert lines[-1] == {"log_level": "info", "event": "writing rows goes on", "waited_s": 3_600.0}


def test_it_begins_with_the_attempt_that_hung() -> None:
    """The first attempt that fails may have waited for its time-out already; each success ends it, and the next begins anew."""
    clock = Clock()
    waiting = Waiting("writing rows", clock)
    assert waiting.goes_on("timed out", attempt_began=90.0) == 10.0
    clock.now = 111.0
    assert waiting.goes_on("timed out", attempt_began=101.0) == 21.0
    assert waiting.reason == "timed out"
    waiting.over()
    assert waiting.goes_on("refused") == 0.0
