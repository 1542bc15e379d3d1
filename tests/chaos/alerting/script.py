"""What is wrong when, and the flushes the workers would make of it: a fold of its own, by seconds of event time. Pure."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from schemas.pane import MILLIONTHS, PANE_MS, Flush, Pane
from schemas.timestamps import from_ms

PARTITIONS: Final = 12
HOT, FAILS = "Host Is Hot", "Api Fails"
#: Of three hosts and apis one is a host: each host is a group of its own, the apis are one.
_HOSTS_RATIO: Final = 0.24
_COOL_PER_S, _BROKEN_PER_S = 4, 120
_BROKEN_S: Final = 8
#: Before the first incident all have been well for longer than the window.
WELL_S: Final = 70
_FIRST_S: Final = 4

Cell = tuple[int, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Incident:
    """`series` is the value of the rule's one label; it is broken from `from_s` to `to_s`, in seconds after the start."""

    rule: str
    label: str
    series: str
    partition: int
    from_s: int
    to_s: int

    @property
    def name(self) -> tuple[str, str]:
        return self.rule, self.series


def incidents(seed: int, count: int, seconds: float) -> list[Incident]:
    """`count` incidents, each of another host or api, that begin within `seconds`."""
    chance = random.Random(f"incidents {seed} {count}")
    hosts = max(1, round(count * _HOSTS_RATIO))
    found = []
    for number in range(count):
        rule, label, series = (HOT, "host", f"host-{number}") if number < hosts else (FAILS, "api", f"api-{number}")
        from_s = chance.randrange(_FIRST_S, max(_FIRST_S + 1, int(seconds)))
        found.append(Incident(rule, label, series, number % PARTITIONS, from_s, from_s + _BROKEN_S))
    return found


@dataclass
class Workers:
    """All partitions. Event time 0 is `base_ms`, the start of a pane."""

    base_ms: int
    incidents: list[Incident]
    _offsets: list[int] = field(default_factory=lambda: [-1] * PARTITIONS)
    _cells: dict[Cell, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def second(self, at_s: int) -> Iterator[Flush]:
        """What happened in second `at_s`, one flush for each partition; to be asked for every second, in order."""
        changed: dict[int, set[Cell]] = defaultdict(set)
        start_ms = (self.base_ms + at_s * 1000) // PANE_MS * PANE_MS
        for one in self.incidents:
            for cell, count, each in _events(one, start_ms, broken=one.from_s <= at_s < one.to_s):
                self._cells[cell][0] += count
                self._cells[cell][1] += count * each
                self._offsets[one.partition] += count
                changed[one.partition].add(cell)
        for partition in range(PARTITIONS):
            yield self._flush(partition, sorted(changed[partition]), self.base_ms + at_s * 1000 + 999)

    def _flush(self, partition: int, changed: list[Cell], until_ms: int) -> Flush:
        offset = self._offsets[partition]
        panes = [
            Pane(
                metric=metric,
                labels=dict(labels),
                start=from_ms(start_ms),
                count=self._cells[start_ms, metric, labels][0],
                sum=self._cells[start_ms, metric, labels][1],
                buckets={},
                last_offset=offset,
                version=2 * offset,
            )
            for start_ms, metric, labels in changed
        ]
        at = from_ms(until_ms)
        return Flush(source_partition=partition, last_offset=offset, watermark=at, caught_up_at=at, panes=panes)


def _events(one: Incident, start_ms: int, *, broken: bool) -> Iterator[tuple[Cell, int, int]]:
    """Cell, how many events, and the millionths of each."""
    if one.rule == HOT:
        labels = (("host", one.series), ("resource", "cpu"))
        count, ratio = (_BROKEN_PER_S, 1.0) if broken else (_COOL_PER_S, 0.25)
        yield (start_ms, "resource_usage", labels), count, round(ratio * MILLIONTHS)
        return
    yield (start_ms, "external_api_call", (("api", one.series), ("status_class", "2xx"))), _COOL_PER_S, 20 * MILLIONTHS
    if broken:
        yield (start_ms, "external_api_call", (("api", one.series), ("status_class", "5xx"))), _BROKEN_PER_S, 20 * MILLIONTHS
