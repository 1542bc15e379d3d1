"""What is done to alerters and notifiers, and when: a function of seed and duration, and of nothing else. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tests.chaos.faults import line

RoleName = Literal["alerter", "notifier"]
ROLES: Final[tuple[RoleName, ...]] = ("alerter", "notifier")

#: Longer than the group's session timeout (10 s): the other one has taken over when it wakes up.
ASLEEP_S: Final = (13.0, 17.0)
FIRST_S: Final = 6.0
#: A role is left alone for about as long as it takes the other one to take over, and now and then so long that it gets something done.
PAUSE_S: Final = (5.0, 8.0)
CALM_S: Final = 12.0
_CALM_EVERY: Final = 5
#: Places in a process where it is killed or frozen: sides of what it writes to Kafka, and calls it has made whose answer is to come.
PLACES: Final[dict[RoleName, tuple[str, ...]]] = {
    "alerter": ("before alerts.v1", "after alerts.v1", "before escalations.v1", "after escalations.v1"),
    "notifier": (
        "asked chat.postMessage",
        "asked chat.update",
        "asked conversations.history",
        "asked conversations.replies",
        "asked enqueue",
        "before deliveries.v1",
        "after deliveries.v1",
    ),
}


class Kind(StrEnum):
    """The value is what people read."""

    KILL = "SIGKILL"
    FREEZE = "SIGSTOP"
    KILL_AT = "SIGKILL there"
    FREEZE_AT = "SIGSTOP there"


@dataclass(frozen=True, slots=True)
class Strike:
    """At the process of `role` that acts, or that stands by; `place` where it is to happen; `asleep_s` until SIGCONT."""

    at_s: float
    kind: Kind
    role: RoleName
    standby: bool = False
    place: str = ""
    asleep_s: float = 0.0

    def __str__(self) -> str:
        details = [self.place] if self.place else []
        details += [f"{self.asleep_s:.1f} s"] if self.asleep_s else []
        return line(self.at_s, f"{self.kind} of the {self.role}{' that stands by' if self.standby else ''}", details)


def strikes(seed: int, seconds: float) -> list[Strike]:
    """In order of time; roles take turns, and of each role kills and freezes do. None begins after `seconds`."""
    chance = random.Random(f"strikes {seed} {seconds}")
    kinds = {role: _turns(chance) for role in ROLES}
    places = {role: _round(chance, PLACES[role]) for role in ROLES}
    found: list[Strike] = []
    at_s, turn = FIRST_S, chance.randrange(len(ROLES))
    while at_s <= seconds:
        role = ROLES[turn % len(ROLES)]
        kind = next(kinds[role])
        there = kind in (Kind.KILL_AT, Kind.FREEZE_AT)
        freezes = kind in (Kind.FREEZE, Kind.FREEZE_AT)
        found.append(
            Strike(
                at_s=round(at_s, 2),
                kind=kind,
                role=role,
                standby=not there and chance.random() < 0.1,
                place=next(places[role]) if there else "",
                asleep_s=round(chance.uniform(*ASLEEP_S), 2) if freezes else 0.0,
            )
        )
        at_s += chance.uniform(*PAUSE_S)
        turn += 1
        at_s += CALM_S if len(found) % _CALM_EVERY == 0 else 0.0
    return found


def _turns(chance: random.Random) -> Iterator[Kind]:
    """Every kind once in four."""
    yield from (Kind.FREEZE_AT, Kind.KILL_AT)  # the first ones of a run must leave something behind, or it does not count
    while True:
        yield from chance.sample(list(Kind), len(Kind))


def _round(chance: random.Random, places: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from chance.sample(places, len(places))
