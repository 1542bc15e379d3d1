"""What folding chunks leaves to be made durable, collected until the next flush."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from pipeline.aggregation.exposures import Exposure, ExposureKey
from pipeline.aggregation.panes import Snapshot
from pipeline.aggregation.retention import UserDay
from pipeline.clickhouse.insert import Row, encode
from pipeline.runtime.ledger import Chunk
from schemas.dead_letter import DeadLetter

PaneKey = tuple[int, int, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything below `position` of a partition has had its effects; `watermark_ms` is what it was then."""

    partition: int
    position: int
    watermark_ms: int


@dataclass(slots=True)
class Lines:
    """Rows of one table: encoded pieces of many, in order, and the first of the rows alone."""

    pieces: list[bytes] = field(default_factory=list)
    count: int = 0
    first: bytes = b""

    def encode(self, rows: Sequence[Row]) -> None:
        """Add `rows`."""
        if rows:
            self.pieces.append(encode(rows))
            self.count += len(rows)
            self.first = self.first or encode(rows[:1])

    def add(self, later: Lines) -> None:
        self.pieces += later.pieces
        self.count += later.count
        self.first = self.first or later.first

    def text(self) -> bytes:
        """All of them, divided by commas or line ends: an insert takes both."""
        return b"\n".join(self.pieces)


@dataclass(slots=True)
class Effects:
    """Effects of a run of chunks, in the containers they are written from.

    Adding the same effects twice, or older ones later, leaves the same numbers behind: every table keeps what wins by key and version.
    """

    chunks: list[Chunk] = field(default_factory=list)
    moved: list[ConsumerRecord] = field(default_factory=list)
    event_rows: Lines = field(default_factory=Lines)
    counted_rows: Lines = field(default_factory=Lines)
    accepted_rows: Lines = field(default_factory=Lines)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_letters_sent: bool = False
    exposures: dict[ExposureKey, Exposure] = field(default_factory=dict)
    user_days: set[UserDay] = field(default_factory=set)
    stale: dict[tuple[int, int], int] = field(default_factory=dict)
    panes: dict[PaneKey, Snapshot] = field(default_factory=dict)
    progress: dict[int, Progress] = field(default_factory=dict)

    def add_exposures(self, exposures: Iterable[tuple[ExposureKey, Exposure]]) -> None:
        for key, seen in exposures:
            self.exposures[key] = min(seen, self.exposures.get(key, seen))

    def add_panes(self, partition: int, snapshots: Iterable[Snapshot]) -> None:
        for snapshot in snapshots:
            self.panes[(partition, snapshot.start_ms, snapshot.metric, snapshot.labels)] = snapshot

    def add(self, later: Effects) -> None:
        """Take over the effects of a flush that follows this one; of a pane only the later snapshot is kept."""
        self.chunks += later.chunks
        self.moved += later.moved
        self.event_rows.add(later.event_rows)
        self.counted_rows.add(later.counted_rows)
        self.accepted_rows.add(later.accepted_rows)
        self.dead_letters += later.dead_letters
        self.add_exposures(later.exposures.items())
        self.user_days |= later.user_days
        self.stale |= later.stale
        self.panes |= later.panes
        self.progress |= later.progress

    def release(self) -> None:
        """Give the memory back without having made anything durable: the chunks stay open, and are read again after a rewind."""
        for chunk in self.chunks:
            chunk.release()
