from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from pipeline.gateway import limits
from pipeline.gateway.admission import BodyAdmission
from pipeline.gateway.body import read_body
from pipeline.runtime.errors import Reject, RetryAfter


@dataclass(slots=True)
class ManualClock:
    """Stands still until it is set."""

    seconds: float = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return int(self.seconds * 1000)


class Stalled:
    """A body of which one part arrives and then nothing more."""

    def __init__(self, part: bytes) -> None:
        self._parts = [part]

    async def readany(self) -> bytes:
        if self._parts:
            return self._parts.pop()
        await asyncio.Event().wait()
        return b""


def test_bodies_share_one_budget_and_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two half-read bodies that together are too large: the second is refused, and both give back what they took."""
    monkeypatch.setattr(limits, "MAX_READING_BYTES", 100)
    bodies = BodyAdmission(ManualClock())
    with bodies.reading() as first:
        first.add(60)
        with bodies.reading() as second:
            second.add(40)
            with pytest.raises(RetryAfter):
                second.add(1)
        with bodies.reading() as third:
            third.add(40)
    with bodies.reading() as alone:
        alone.add(100)


def test_only_so_many_bodies_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One body more than allowed is refused before a byte of it is read, when none of the others is slow."""
    monkeypatch.setattr(limits, "MAX_READING_REQUESTS", 1)
    bodies = BodyAdmission(ManualClock())
    with bodies.reading(), pytest.raises(RetryAfter), bodies.reading():
        pass
    with bodies.reading():
        pass


@pytest.mark.parametrize(("name", "most", "bytes_each"), [("MAX_READING_REQUESTS", 2, 1), ("MAX_READING_BYTES", 20, 10)])
async def test_who_takes_his_time_makes_room(monkeypatch: pytest.MonkeyPatch, name: str, most: int, bytes_each: int) -> None:
    """Slow bodies that fill all there is: one more is read whole, and the one on its way for longest is given up for it."""
    monkeypatch.setattr(limits, name, most)
    clock = ManualClock()
    bodies = BodyAdmission(clock)

    async def read(part: bytes) -> bytes:
        with bodies.reading() as reading:
            return await read_body(Stalled(part), None, "", reading)

    slow = []
    for _ in range(2):
        slow.append(asyncio.create_task(read(b"x" * bytes_each)))
        await asyncio.sleep(0)
    clock.seconds = limits.SLOW_BODY_S
    with bodies.reading() as good:
        good.add(10)
        with pytest.raises(Reject) as reject:
            await slow[0]
        assert reject.value.code == "body_timeout"
        assert not slow[1].done()
    slow[1].cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    with bodies.reading() as alone:
        alone.add(min(most, 20))
