"""Which offsets of one partition are durable: the bookkeeping behind every commit. Pure: no I/O and no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord


class Ledger:
    """The chunks delivered from one partition during one ownership of it.

    The invariant: `committable` never passes the oldest delivered chunk that is not done. A rebalance or a rewind ends the
    ownership (`abandon`) and makes another ledger, so a late `Chunk.done()` changes an object nobody reads.

    Attributes:
        resume_at: the offset this ownership began to read at.
        committable: everything below it is durable and may be committed.
        committed: what the broker has confirmed; the owner of the consumer sets it.
        expected: the next offset; nothing below it may be delivered in this ownership.
        records_open, bytes_open: what is held in memory by chunks that are neither done nor released.
    """

    def __init__(self, tp: TopicPartition, resume_at: int, *, head_since: float | None = None) -> None:
        """`head_since` is the time (monotonic seconds) since which an earlier ownership could not finish the record at `resume_at`."""
        self.tp = tp
        self.resume_at = self.committable = self.committed = self.expected = resume_at
        self.abandoned = False
        self.records_open = self.bytes_open = 0
        self._head_since = head_since
        self._open: deque[Chunk] = deque()
        self._stands_still = False

    @property
    def chunks_open(self) -> int:
        """Delivered chunks that hold back the commit: after a release those up to the released one, which holds back all that follow."""
        return len(self._open)

    def deliver(self, records: Sequence[ConsumerRecord], size_bytes: int, now: float) -> Chunk:
        """Open a chunk for `records` (not empty, in offset order). Raises ValueError when an offset comes again: a bug of the reader."""
        if self.abandoned:
            raise ValueError(f"{_name(self.tp)}: delivered to an ownership that has ended")
        if records[0].offset < self.expected:  # a hole is fine (compaction, transaction markers), disorder is not
            raise ValueError(f"{_name(self.tp)}: offset {records[0].offset} came again, {self.expected} or later was expected")
        chunk = Chunk(self, self.expected, records[-1].offset, records, len(records), size_bytes, now)
        self.expected = chunk.last_offset + 1
        self.records_open += len(records)
        self.bytes_open += size_bytes
        if not self._stands_still:
            self._open.append(chunk)
        return chunk

    def abandon(self) -> None:
        """End the ownership. What is committable now may still be committed; nothing is added to it any more."""
        self.abandoned = True
        self._open.clear()
        self.records_open = self.bytes_open = 0

    def head_since(self) -> float | None:
        """When the oldest open chunk was delivered (monotonic seconds), or first delivered; None: nothing is open."""
        if not self._open:
            return None
        head = self._open[0]
        inherited = self._head_since if head.follows_on == self.resume_at else None
        return head.delivered_at if inherited is None else min(inherited, head.delivered_at)

    def head_age_s(self, now: float) -> float:
        """For how many seconds the oldest open chunk has been open; 0 when nothing is."""
        since = self.head_since()
        return 0.0 if since is None else now - since

    def _settle(self) -> None:
        while self._open and self._open[0].is_done:
            self.committable = self._open.popleft().last_offset + 1

    def _stand_still_at(self, chunk: Chunk) -> None:
        """Keep nothing beyond `chunk`: none of it will be committed, and an outage of days must not fill the memory with its chunks."""
        if not self.abandoned:
            self._stands_still = True
            while self._open and self._open[-1].follows_on > chunk.follows_on:
                self._open.pop()

    def _give_back(self, chunk: Chunk) -> None:
        if not self.abandoned:
            self.records_open -= chunk.records_open
            self.bytes_open -= chunk.size_bytes


@dataclass(slots=True, eq=False)
class Chunk:
    """Consecutive records of one partition, read during one ownership.

    It stands for every offset from `follows_on` to `last_offset`, holes included: a state folded from chunks must stand exactly
    at `follows_on`; if it does not, drop the state and raise, and the guard reads the partition again.
    """

    ledger: Ledger
    follows_on: int
    last_offset: int
    records: Sequence[ConsumerRecord]
    records_open: int
    size_bytes: int
    delivered_at: float
    is_done: bool = field(default=False, init=False)
    _is_released: bool = field(default=False, init=False)

    @property
    def tp(self) -> TopicPartition:
        return self.ledger.tp

    @property
    def abandoned(self) -> bool:
        """The ownership has ended: do not fold it, nothing of it will be committed."""
        return self.ledger.abandoned

    def forget_records(self) -> None:
        """Let go of the records, when what follows from them is held elsewhere; they count as open until the chunk is done or released."""
        self.records = ()

    def done(self) -> None:
        """Say that every effect of the chunk is durable. Idempotent; without effect when it was released or the ownership has ended."""
        if not self._is_released:
            self.is_done = True
            self._give_back()
            self.ledger._settle()

    def release(self) -> None:
        """Give the memory back without being done: nothing from this chunk on is committed any more, and a rewind reads it again."""
        if not self.is_done and not self._is_released:
            self._is_released = True
            self._give_back()
            self.ledger._stand_still_at(self)

    def _give_back(self) -> None:
        self.ledger._give_back(self)
        self.records, self.records_open, self.size_bytes = (), 0, 0


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"
