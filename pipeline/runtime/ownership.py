"""Who owns which partition, for how long, and how much of it is open. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from pipeline.runtime import metrics
from pipeline.runtime.errors import Stop
from pipeline.runtime.ledger import Ledger
from pipeline.runtime.log_ends import LogEnds


@dataclass(eq=False)
class Ownership:
    """One stretch of owning a partition, from assignment or rewind to revocation or rewind. Compared by identity.

    Attributes:
        began_at: monotonic seconds.
        failures: chunks that failed in a row without anything becoming committable.
        head_since: since when an earlier ownership could not finish its oldest chunk.
        ledger: None until it is known where to resume.
        starting: finds that out.
    """

    tp: TopicPartition
    began_at: float
    failures: int = 0
    head_since: float | None = None
    ledger: Ledger | None = None
    log_ends: LogEnds = field(default_factory=LogEnds)
    starting: asyncio.Future[None] | None = None

    def loading_since(self) -> float:
        """Since when the records at the resume offset wait for somebody to read them."""
        return self.began_at if self.head_since is None else self.head_since

    def end(self) -> None:
        """Abandon what is open; a late `done()` changes nothing any more."""
        if self.starting is not None:
            self.starting.cancel()
        if self.ledger is not None:
            self.ledger.abandon()

    def successor(self, now: float) -> Ownership:
        """The ownership that reads the partition again after a chunk failed; it remembers for how long there was no progress."""
        if self.ledger is None:
            return Ownership(self.tp, now, self.failures + 1, self.head_since)
        advanced = self.ledger.committable > self.ledger.resume_at
        return Ownership(self.tp, now, 1 if advanced else self.failures + 1, self.ledger.head_since())


class Ownerships(dict[TopicPartition, Ownership]):
    """The partitions of one topic this member owns."""

    def ledgers(self) -> Iterator[tuple[TopicPartition, Ledger]]:
        """Of the partitions that are being read; those whose state still loads have none."""
        return ((tp, ownership.ledger) for tp, ownership in self.items() if ownership.ledger is not None)

    def holds(self, ownership: Ownership) -> bool:
        return self.get(ownership.tp) is ownership

    def records_open(self) -> int:
        return sum(ledger.records_open for _, ledger in self.ledgers())

    def bytes_open(self) -> int:
        return sum(ledger.bytes_open for _, ledger in self.ledgers())

    def end_all(self) -> None:
        for ownership in self.values():
            ownership.end()

    def show(self, topic: str, now: float) -> None:
        """Set the gauges of the runtime."""
        ledgers = dict(self.ledgers())
        metrics.RECORDS_OPEN.labels(topic).set(self.records_open())
        metrics.BYTES_OPEN.labels(topic).set(self.bytes_open())
        metrics.HEAD_AGE.labels(topic).set(max((ledger.head_age_s(now) for ledger in ledgers.values()), default=0.0))
        metrics.PARTITIONS.labels(topic, "read").set(len(ledgers))
        metrics.PARTITIONS.labels(topic, "loading").set(len(self) - len(ledgers))
        metrics.LAG.clear()
        for tp, ledger in ledgers.items():
            end = self[tp].log_ends.newest
            if end is not None:
                metrics.LAG.labels(topic, str(tp.partition)).set(max(0, end.offset - ledger.committable))


class Watchdog:
    """Raises when a partition makes no progress and nothing is known that it waits for."""

    def __init__(self, stuck_after_s: float, now: float) -> None:
        self.stuck_after_s = stuck_after_s
        self._excused_until = now

    def check(self, owned: Ownerships, waiting_for: str | None, now: float) -> None:
        """Raise Stop when a chunk, or the loading of a state, is older than `stuck_after_s`, not counting times of waiting."""
        if waiting_for is not None:
            self._excused_until = now
        for tp, ownership in owned.items():
            ledger = ownership.ledger
            since = ownership.loading_since() if ledger is None else ledger.head_since()
            if since is not None and now - max(since, self._excused_until) > self.stuck_after_s:
                what = "its state is still loading" if ledger is None else f"the records from offset {ledger.committable} on are not done"
                raise Stop(f"{tp.topic}-{tp.partition} is stuck: {what} after {now - since:.0f} s; ending, so that they are read again")
