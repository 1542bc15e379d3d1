"""The script of a run: which items come, and which copies of each are sent when, by which way and to which partition."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.chaos.sent import PARTITIONS, How, Incident, Item
from tests.chaos.traffic_events import Events
from tests.chaos.traffic_poison import GATEWAY_KINDS, KAFKA_KINDS, poison_item

_COPIES: Final = (1, 2, 3)
_COPIES_WEIGHTS: Final = (45, 40, 15)
_WRONG_PARTITION_RATIO: Final = 0.04
_CONFLICT_RATIO: Final = 0.004
_POISON_RATIO: Final = 0.006
_LONGEST_DELAY_S: Final = 50.0
_INCIDENT_BEGINS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sending:
    """A copy to send `at_s` seconds after the run began. `after_first`: only once the item's first copy is acknowledged in its place."""

    at_s: float
    item: Item
    how: How
    partition: int | None = None
    after_first: bool = False


def incident_of(start_ms: int, duration_s: float) -> Incident:
    """Early, and short enough that it is diluted below the rule's 5 % of a minute well before the run ends: over once, for good."""
    begins_ms = start_ms + int(_INCIDENT_BEGINS_S * 1000)
    return Incident(begins_ms, begins_ms + int(min(12.0, duration_s / 5) * 1000))


class Script:
    """Everything is drawn from the seed, but the times, which are passed in."""

    def __init__(self, seed: int, *, duration_s: float, gateway_share: float, incident: Incident | None) -> None:
        self._rng = random.Random(seed)
        self._events = Events(self._rng)
        self._duration_s, self._gateway_share, self._incident = duration_s, gateway_share, incident
        self._poison = 0

    def next(self, now_ms: int, at_s: float) -> Iterator[Sending]:
        """One distinct event and its copies, now and then with a conflict or with poison beside it."""
        rng = self._rng
        broken = self._incident is not None and self._incident.start_ms <= now_ms < self._incident.end_ms
        item = self._events.next(now_ms, broken=broken)
        conflicts = rng.random() < _CONFLICT_RATIO
        for number in range(rng.choices(_COPIES, _COPIES_WEIGHTS)[0]):
            when_s = at_s if number == 0 else self._later(at_s)
            # Which content is first must be certain where there are two.
            yield Sending(when_s, item, "kafka") if conflicts and number == 0 else self._sending(when_s, item)
        if conflicts:
            yield Sending(self._later(at_s), self._events.conflicting(item), self._way(), after_first=True)
        if rng.random() < _POISON_RATIO:
            yield self._poisoned(now_ms, at_s)

    def _sending(self, at_s: float, item: Item) -> Sending:
        how = self._way()
        if how == "kafka" and self._rng.random() < _WRONG_PARTITION_RATIO:
            wrong = (item.home + self._rng.randrange(1, PARTITIONS)) % PARTITIONS
            return Sending(at_s, item, how, wrong)
        return Sending(at_s, item, how)

    def _poisoned(self, now_ms: int, at_s: float) -> Sending:
        self._poison += 1
        how = self._way()
        kinds = GATEWAY_KINDS if how == "gateway" else KAFKA_KINDS
        item = poison_item(kinds[self._poison % len(kinds)], self._poison, self._events, now_ms)
        return Sending(at_s, item, how, self._rng.randrange(PARTITIONS) if how == "kafka" else None)

    def _way(self) -> How:
        return "gateway" if self._rng.random() < self._gateway_share else "kafka"

    def _later(self, at_s: float) -> float:
        """At once, some seconds later, or across restarts; never after the end of the run."""
        spread_s = self._rng.choices((0.0, 5.0, _LONGEST_DELAY_S), (3, 4, 3))[0]
        return at_s + self._rng.uniform(0, min(spread_s, max(0.0, self._duration_s - at_s)))
