"""Which faults happen when: a function of seed, duration and number of workers, and of nothing else. Pure.

A run is a row of episodes. The servers are broken one after the other: a frozen worker is only expelled by a broker that lives.
"""

from __future__ import annotations

import random
from typing import Final

from tests.chaos.faults import BOUNDARIES, EFFECTS, PUBLISHED, Fault, Kind, Order, Point

#: Longer than the group's session timeout (10 s): the others have taken its partitions when it wakes up.
FROZEN_S: Final = (12.0, 18.0)
OUTAGE_S: Final = (6.0, 30.0)
HANG_S: Final = (5.0, 15.0)
STORM_S: Final = 15.0
BROKER_S: Final = (1.0, 4.0)
#: A broker that was killed is let in again when the session of its earlier life has run out (9 s).
BROKER_RECOVERY_S: Final = 14.0
WARM_UP_S: Final = 2.0
SHORTEST_S: Final = 60
#: In a minute, at the boundaries whose turn it is.
KILLS_AT: Final = 3
#: Where a worker is frozen with work in hand: what it does first when it wakes up comes from the past.
ASLEEP_BEFORE: Final = ("panes.v1", "events_raw", "panes_raw", "partition_progress", "done", "commit")


def workers_of(seed: int) -> int:
    """Two workers or three."""
    return 2 + seed % 2


def boundaries_of(seed: int) -> list[Point]:
    """Where workers are killed under this seed: seeds that follow each other go round all boundaries."""
    return [BOUNDARIES[(seed * KILLS_AT + i) % len(BOUNDARIES)] for i in range(KILLS_AT)]


def schedule(seed: int, seconds: float, workers: int) -> list[Fault]:
    """Faults in order of time for a load of `seconds`; the warehouse may still be away when that ends, for half a minute at most.

    From 60 s on every kind is there. A shorter one has kills at effects, a zombie, a hang and a dead gateway.
    """
    chance = random.Random(f"{seed} {seconds} {workers}")
    plan = _Plan(chance, workers, boundaries_of(seed))
    if seconds < SHORTEST_S:
        plan.short()
    else:
        for _ in range(int(seconds // SHORTEST_S)):
            plan.all_kinds()
    return sorted(plan.faults, key=lambda fault: fault.at_s)


class _Plan:
    def __init__(self, chance: random.Random, workers: int, boundaries: list[Point]) -> None:
        self.chance, self.workers = chance, workers
        self.faults: list[Fault] = []
        self.now_s = WARM_UP_S
        self._boundaries = boundaries
        self._killed = 0

    def all_kinds(self) -> None:
        """A minute. The zombie comes first, while everything works: it must go to sleep for certain, or the run does not count."""
        began_s = self.now_s
        for kind in (Kind.ALERTER, Kind.NOTIFIER):
            self._add(self.chance.uniform(1.0, 40.0), kind)
        self.now_s += self._zombie()
        for episode in self.chance.sample([self._storm, self._broker], 2):
            self.now_s += episode()
        self._outage(self.chance.uniform(*OUTAGE_S))
        self.now_s = began_s + SHORTEST_S

    def short(self) -> None:
        """Twenty seconds: what every run must have had to count, and the gateway."""
        sleeper = self._any()
        self._add(0.0, Kind.FREEZE_AT, sleeper, FROZEN_S[0], Order("freeze", Point("before", "commit")))
        self._gateway(1.0)
        self._kill_at(2.0, self._other(sleeper), Point("after", "events_raw"))
        self._add(7.0, Kind.HANG, seconds=HANG_S[0])
        self._kill_at(12.5, self._any(), self._next_boundary())
        self._add(14.5, Kind.TERMINATE, self._any())

    def _zombie(self) -> float:
        """One worker sleeps past its session with a commit or an effect in hand; meanwhile others die, and the gateway."""
        sleeper, asleep_s = self._any(), self.chance.uniform(*FROZEN_S)
        self._add(0.0, Kind.FREEZE_AT, sleeper, asleep_s, Order("freeze", Point("before", "commit")))
        self._gateway(self.chance.uniform(1.0, 6.0))
        self._kill_at(self.chance.uniform(1.0, 3.0), self._other(sleeper), Point("after", "events_raw"))
        self._kill_at(self.chance.uniform(6.0, 9.0), self._other(sleeper), self._next_boundary())
        return asleep_s + 2.5

    def _storm(self) -> float:
        """A worker joins and leaves every few seconds, while the warehouse hangs and members die."""
        self._add(0.0, Kind.STORM, seconds=STORM_S)
        hang_s = self.chance.uniform(*HANG_S)
        hang_at_s = self.chance.uniform(0.5, STORM_S - hang_s + 0.5)
        self._add(hang_at_s, Kind.HANG, seconds=hang_s)
        self._add(self.chance.uniform(2.0, 12.0), Kind.TERMINATE, self._any())
        self._kill_at(hang_at_s + hang_s + 0.5, self._any(), self._next_boundary())
        return max(STORM_S, hang_at_s + hang_s + 3.0)

    def _broker(self) -> float:
        down_s = self.chance.uniform(*BROKER_S)
        self._add(0.0, Kind.BROKER, seconds=down_s)
        if self.chance.random() < 0.5:
            self._add(down_s / 2, Kind.KILL, self._any())
        return down_s + BROKER_RECOVERY_S

    def _outage(self, down_s: float) -> None:
        """The warehouse is away, with kills at moments nobody chose; and a second zombie, which wakes up with rows from the past."""
        sleeper = self._any()
        self._add(0.0, Kind.FREEZE_AT, sleeper, self.chance.uniform(*FROZEN_S), self._asleep())
        self._add(1.0, Kind.KILL, self._other(sleeper))
        self._add(2.0, Kind.WAREHOUSE, seconds=down_s)
        self._add(self.chance.uniform(2.5, down_s), Kind.KILL, self._any())
        self._kill_at(2.0 + down_s, self._any(), self._next_boundary())
        self._add(3.0 + down_s, Kind.FREEZE, self._any(), self.chance.uniform(1.0, 5.0))

    def _asleep(self) -> Order:
        return Order("freeze", Point("before", self.chance.choice(ASLEEP_BEFORE)))

    def _gateway(self, after_s: float) -> None:
        self._add(after_s, Kind.GATEWAY_AT, order=Order("kill", Point("after", PUBLISHED), self.chance.randint(1, 3)))

    def _kill_at(self, after_s: float, worker: int, point: Point) -> None:
        self._add(after_s, Kind.KILL_AT, worker, order=Order("kill", point))

    def _next_boundary(self) -> Point:
        point = self._boundaries[self._killed % len(self._boundaries)]
        self._killed += 1
        return point

    def _any(self) -> int:
        return self.chance.randrange(self.workers)

    def _other(self, worker: int) -> int:
        return (worker + self.chance.randrange(1, self.workers)) % self.workers

    def _add(self, after_s: float, kind: Kind, worker: int = 0, seconds: float = 0.0, order: Order | None = None) -> None:
        self.faults.append(Fault(round(self.now_s + after_s, 2), kind, worker, round(seconds, 2), order))


assert set(ASLEEP_BEFORE) <= set(EFFECTS)
