from __future__ import annotations

from pipeline.agents.repair_horizon import Horizon
from pipeline.clickhouse.state import Progress


def reached(**positions: int) -> dict[int, Progress]:
    return {int(name[1:]): Progress(position, 1_000) for name, position in positions.items()}


def test_nothing_is_settled_before_every_partition_has_come_to_its_end() -> None:
    """One partition that lags holds all others back; what settles is where they stood when the ends were asked for."""
    horizon = Horizon()
    horizon.propose(reached(p0=10, p1=4), {0: 12, 1: 9, 2: 0})
    horizon.advance(reached(p0=50, p1=8))
    assert (horizon.is_waiting, horizon.settled) == (True, {})
    horizon.advance(reached(p0=60, p1=9))
    assert (horizon.is_waiting, horizon.settled) == (False, reached(p0=10, p1=4))


def test_what_was_settled_stays_while_the_next_proposal_waits() -> None:
    """A partition that falls behind keeps the horizon where it was."""
    horizon = Horizon()
    horizon.propose(reached(p0=10), {0: 10})
    assert horizon.settled == reached(p0=10)
    horizon.propose(reached(p0=11), {0: 99})
    horizon.advance(reached(p0=98))
    assert horizon.settled == reached(p0=10)


def test_a_partition_without_progress_counts_once_it_has_records() -> None:
    """An empty log needs no progress; one with records that nobody has folded yet does."""
    horizon = Horizon()
    horizon.propose(reached(p0=10), {0: 10, 1: 1})
    assert horizon.is_waiting
    horizon.advance(reached(p0=10, p1=1))
    assert horizon.settled == reached(p0=10)
