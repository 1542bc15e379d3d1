from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.cli.event_file import Line
from pipeline.cli.publishing import BATCH_EVENTS, GIVE_UP_S, Rejection, publish
from pipeline.runtime.errors import RetryAfter, Stop


class Clock:
    """Advances by a minute at each look, so that patience ends without waiting."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now, self.step_s = 0.0, step_s

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        self.now += self.step_s
        return self.now


def lines(count: int) -> list[Line]:
    return [Line(number, b"{}", f"id-{number}", number % 12, None) for number in range(count)]


async def test_every_lane_keeps_the_order_of_the_file() -> None:
    """Lines of one partition arrive in file order, in batches of bounded size, and all are accounted for."""
    received: list[Line] = []
    sent: list[int] = []

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        assert len(batch) <= BATCH_EVENTS
        received.extend(batch)
        return []

    outcome = await publish(lines(20_000), sink, Clock(), sent.append)
    assert outcome.accepted == sum(sent) == 20_000
    for partition in range(12):
        assert [line.number for line in received if line.partition == partition] == list(range(partition, 20_000, 12))


async def test_a_batch_is_sent_again_until_it_is_answered() -> None:
    """A stack that is busy is asked again with the same lines before the next ones of the lane leave."""
    seen: list[tuple[int, ...]] = []

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        seen.append(tuple(line.number for line in batch))
        if len(seen) < 3:
            raise RetryAfter("busy", seconds=0.0)
        return [Rejection(batch[0].number, batch[0].event_id, ())]

    one_lane = [Line(number, b"{}", f"id-{number}", 0, None) for number in range(BATCH_EVENTS + 1)]
    outcome = await publish(one_lane, sink, Clock(), lambda _: None)
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert (outcome.accepted, [rejection.line for rejection in outcome.rejected]) == (BATCH_EVENTS - 1, [0, BATCH_EVENTS])


async def test_patience_ends_with_a_line() -> None:
    """A stack that stays away ends the command, and the line says that publishing again is safe."""

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        raise RetryAfter("away", seconds=0.0)

    with pytest.raises(Stop, match="publish the file again"):
        await publish(lines(1), sink, Clock(step_s=GIVE_UP_S), lambda _: None)
