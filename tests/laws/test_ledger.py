"""Laws of the ledger, against a model that knows nothing of queues: durable records, and offsets nobody may commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, precondition, rule

from pipeline.runtime.ledger import Chunk, Ledger

TP = TopicPartition("events.v1", 3)
RECORD_BYTES = 7


def record(offset: int) -> ConsumerRecord:
    return ConsumerRecord(TP.topic, TP.partition, offset, 0, 0, None, b"x" * RECORD_BYTES, None, -1, RECORD_BYTES, ())


@dataclass(eq=False)
class Delivered:
    """What the model remembers of a chunk."""

    chunk: Chunk
    ownership: int
    first: int
    offsets: frozenset[int]
    done: bool = False
    released: bool = False


@dataclass
class Ended:
    """A ledger whose ownership is over, and what it showed at that moment."""

    ledger: Ledger
    committable: int
    expected: int


@dataclass
class Model:
    """One partition at the broker, and every ownership of it in this process."""

    ownership: int = 0
    resume_at: int = 0
    expected: int = 0
    committed: int = 0
    log: list[int] = field(default_factory=list)
    durable: set[int] = field(default_factory=set)
    delivered: list[Delivered] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)

    def mine(self) -> list[Delivered]:
        return [one for one in self.delivered if one.ownership == self.ownership]

    def committable(self) -> int:
        """The oldest offset of a delivered chunk that is not done; all that was delivered when every one is."""
        return min((one.first for one in self.mine() if not one.done), default=self.expected)

    def held(self) -> list[Delivered]:
        return [one for one in self.mine() if not one.done and not one.released]


class LedgerMachine(RuleBasedStateMachine):
    chunks = Bundle("chunks")
    commits = Bundle("commits")

    @initialize(log_start=st.integers(0, 50), gaps=st.lists(st.sampled_from([1, 1, 1, 2, 6]), min_size=60, max_size=60))
    def assign(self, log_start: int, gaps: list[int]) -> None:
        """A log with holes, as compaction and transaction markers leave them."""
        self.now = 100.0
        log = [log_start + offset for offset in accumulate(gaps)]
        self.model = Model(resume_at=log_start, expected=log_start, committed=log_start, log=log)
        self.ledger = Ledger(TP, log_start)

    @precondition(lambda self: self.model.log[-1] >= self.model.expected)
    @rule(target=chunks, count=st.integers(1, 6), wait=st.floats(0, 3))
    def deliver(self, count: int, wait: float) -> Delivered:
        self.now += wait
        offsets = [offset for offset in self.model.log if offset >= self.model.expected][:count]
        chunk = self.ledger.deliver([record(one) for one in offsets], RECORD_BYTES * len(offsets), self.now)
        assert (chunk.follows_on, chunk.last_offset) == (self.model.expected, offsets[-1])
        delivered = Delivered(chunk, self.model.ownership, self.model.expected, frozenset(offsets))
        self.model.delivered.append(delivered)
        self.model.expected = offsets[-1] + 1
        return delivered

    @rule(delivered=chunks)
    def done(self, delivered: Delivered) -> None:
        """In any order, again, after a release and after the ownership: the effects were made durable all the same."""
        delivered.chunk.done()
        delivered.done = delivered.done or not delivered.released
        self.model.durable |= delivered.offsets

    @rule(delivered=chunks)
    def release(self, delivered: Delivered) -> None:
        """Given up, unless it was done before: it holds back the commit until the ownership ends."""
        delivered.chunk.release()
        delivered.released = delivered.released or not delivered.done

    @rule(target=commits)
    def send_commit(self) -> int:
        """The request leaves; it may arrive now, later, after a rebalance, or never."""
        return self.ledger.committable

    @rule(offset=commits)
    def commit_arrives(self, offset: int) -> None:
        self.model.committed = offset
        if offset <= self.ledger.committable:
            self.ledger.committed = max(self.ledger.committed, offset)

    @rule(offset=consumes(commits))
    def commit_fails(self, offset: int) -> None:
        pass

    @rule(target=commits, confirmed=st.booleans())
    def rewind(self, confirmed: bool) -> object:
        """Or a rebalance that gives the partition back: the ownership ends, the next one resumes at what the broker has."""
        before = self.ledger.committable
        self.ledger.abandon()
        self.model.ended.append(Ended(self.ledger, before, self.ledger.expected))
        if confirmed:
            self.model.committed = before
        self.model.ownership += 1
        self.model.resume_at = self.model.expected = self.model.committed
        self.ledger = Ledger(TP, self.model.committed)
        return multiple() if confirmed else before

    @invariant()
    def nothing_below_the_broker_s_offset_is_lost(self) -> None:
        assert {offset for offset in self.model.log if offset < self.model.committed} <= self.model.durable

    @invariant()
    def committable_is_the_oldest_chunk_that_is_not_done(self) -> None:
        assert self.ledger.committable == self.model.committable()

    @invariant()
    def what_is_held_in_memory_is_counted(self) -> None:
        held = self.model.held()
        assert self.ledger.records_open == sum(len(one.offsets) for one in held)
        assert self.ledger.bytes_open == RECORD_BYTES * self.ledger.records_open
        assert sum(len(one.chunk.records) for one in held) == self.ledger.records_open

    @invariant()
    def the_head_is_the_oldest_delivery_that_is_not_done(self) -> None:
        waiting = [one.chunk.delivered_at for one in self.model.mine() if not one.done]
        assert self.ledger.head_age_s(self.now) == (self.now - min(waiting) if waiting else 0.0)

    @invariant()
    def nothing_is_kept_that_follows_a_released_chunk(self) -> None:
        first_released = min((one.first for one in self.model.mine() if one.released), default=self.model.expected)
        assert self.ledger.chunks_open <= len([one for one in self.model.mine() if one.first <= first_released])

    @invariant()
    def an_ended_ownership_never_changes_again(self) -> None:
        for ended in self.model.ended:
            assert (ended.ledger.committable, ended.ledger.expected) == (ended.committable, ended.expected)
            assert (ended.ledger.records_open, ended.ledger.bytes_open, ended.ledger.chunks_open) == (0, 0, 0)
        assert all(one.chunk.abandoned == (one.ownership != self.model.ownership) for one in self.model.delivered)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
