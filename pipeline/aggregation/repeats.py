"""Which records of a partition are repeats: the first counted copy of every event_id of its last 200,000 offsets, packed.

The verdict on a record is a function of the log alone: it does not depend on how the stream was cut into chunks, nor on where
a worker died and resumed. Two copies that counted lie more than a window apart, so at most one of them is seen from any offset.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WINDOW_OFFSETS: Final = 200_000
#: How far back from the last record `judge` may go again without a reload.
SLACK_OFFSETS: Final = 16_384

_SLOTS: Final = WINDOW_OFFSETS + SLACK_OFFSETS
_CELL_BITS: Final = 19
_CELL_MASK: Final = (1 << _CELL_BITS) - 1
_CELLS_USED_MAX: Final = (1 << _CELL_BITS) * 5 // 8
_CELL_VALUE_MAX: Final = (1 << 32) - 1
_FEW: Final = 48  # as many are faster looked up one by one
# Ids come from the public, and ids chosen to share a cell would make every look-up slow. Python's own secret of the process
# (PYTHONHASHSEED) keeps the cells unguessable; no verdict depends on it.
_FACTORS: Final = np.array([hash(name) & (1 << 64) - 1 | 1 for name in ("left half", "right half", "cell")], np.uint64)


class Verdict(IntEnum):
    """What becomes of a record: folded in, dropped, or dead-lettered as `event_id_conflict`."""

    COUNTED = 0
    REPEAT = 1
    CONFLICT = 2


_VERDICTS: Final = tuple(Verdict)


class RepeatWindow:
    """The window of one partition. 7 MiB when full; memory is touched only as it fills.

    Id and content hash of the record at offset o are kept in slot o % _SLOTS. A hash table (open addressing, triangular probing)
    leads from an id to the offsets at which it counted. A cell is 0 when free, else offset - _base: what has left the window
    is known by its cell alone and costs nothing but that cell, until few are free and the table is built again.
    """

    def __init__(self) -> None:
        self._lefts, self._rights, self._hashes = (np.zeros(_SLOTS, np.uint64) for _ in range(3))
        self._cells = np.zeros(1 << _CELL_BITS, np.uint32)
        self._cells_used = 0
        self._base = -1
        self._earliest = 0  # the lowest offset that can be judged: all it may repeat is still in its slot

    @property
    def memory_bytes(self) -> int:
        """Bytes of the window when it is full."""
        return self._lefts.nbytes + self._rights.nbytes + self._hashes.nbytes + self._cells.nbytes

    def load(self, ids: bytes | memoryview | NDArray[Any], offsets: NDArray[Any], content_hashes: NDArray[Any], position: int) -> None:
        """Replace the content by what counted in an earlier life, to go on at `position`.

        Needs every counted record with an offset in [position - WINDOW_OFFSETS, position), in any order, twice if need be.
        All others are left out: older ones are of no use, and those from `position` on are about to be read and judged again.

        Args:
            ids: 16 bytes each, as `uuid.UUID.bytes`, end to end.
            offsets: integers, one per id.
            content_hashes: unsigned 64-bit integers, one per id.
            position: offset of the next record to judge.
        """
        within = np.flatnonzero((offsets >= position - WINDOW_OFFSETS) & (offsets < position))
        counted, places = np.unique(offsets[within].astype(np.int64), return_index=True)
        rows = within[places]
        self._keep(counted % _SLOTS, np.frombuffer(ids, np.uint64).reshape(-1, 2)[rows], content_hashes[rows])
        self._earliest = position
        self._build_table(counted)

    def judge(self, ids: bytes, offsets: Sequence[int], content_hashes: Sequence[int]) -> list[Verdict]:
        """Verdicts on consecutive records, one each, in order; those that count are remembered.

        A record is COUNTED unless a counted one whose offset is lower, by at most WINDOW_OFFSETS, has its id: then it is a
        REPEAT, or a CONFLICT when the content differs. The same records may be judged again, and alike.

        Args:
            ids: 16 bytes each, as `uuid.UUID.bytes`, end to end.
            offsets: strictly increasing, one per id.
            content_hashes: unsigned 64-bit integers, one per id.

        Raises:
            ValueError: The first offset lies further back than is remembered: load a new window for it.
        """
        halves, numbers = np.frombuffer(ids, np.uint64).reshape(-1, 2), np.array(offsets, np.int64)
        hashes = np.array(content_hashes, np.uint64)
        verdicts: list[Verdict] = []
        while (start := len(verdicts)) < len(offsets):
            # Records further apart than the slack would take the slots of what the first of them may repeat.
            end = bisect_left(offsets, offsets[start] + SLACK_OFFSETS, start)
            verdicts += self._judge_near(halves[start:end], numbers[start:end], hashes[start:end])
        return verdicts

    def _judge_near(self, ids: NDArray[np.uint64], offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> list[Verdict]:
        self._make_room(int(offsets[0]), int(offsets[-1]), len(offsets))
        slots = offsets % _SLOTS
        self._keep(slots, ids, hashes)
        copies = self._find_or_enter(offsets, slots)
        entered = copies == offsets
        self._cells_used += int(np.count_nonzero(entered))
        if entered.all():
            return [Verdict.COUNTED] * len(offsets)
        alike = self._hashes[copies % _SLOTS] == hashes
        return [_VERDICTS[code] for code in np.where(entered, 0, np.where(alike, 1, 2)).tolist()]

    def _keep(self, slots: NDArray[np.int64], ids: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> None:
        self._lefts[slots], self._rights[slots], self._hashes[slots] = ids[:, 0], ids[:, 1], hashes

    def _make_room(self, first: int, last: int, count: int) -> None:
        """See that what `first` may repeat is still held, and that `count` cells can be used, for offsets up to `last`."""
        if first < self._earliest:
            raise ValueError(f"offset {first} is too far back: what it may repeat is no longer held; load a new window for it")
        self._earliest = max(self._earliest, last + 1 - SLACK_OFFSETS)
        if self._cells_used + count > _CELLS_USED_MAX or last - self._base > _CELL_VALUE_MAX:
            counted = self._cells[self._cells > 0].astype(np.int64) + self._base
            self._build_table(counted[counted >= self._earliest - WINDOW_OFFSETS])

    def _build_table(self, counted: NDArray[np.int64]) -> None:
        self._base = self._earliest - WINDOW_OFFSETS - 1
        self._cells.fill(0)
        self._cells_used = len(counted)
        self._find_or_enter(counted, counted % _SLOTS)

    def _find_or_enter(self, offsets: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each record, in its slot already, the offset at which its id counted: its own when that was not before.

        Copies of one id look at the same cells in the same round, and the lowest offset goes first: as if one came after another.
        """
        values = (offsets - self._base).astype(np.uint32)
        copies = np.zeros(len(values), np.uint32)
        going, cells, step = np.arange(len(values)), _first_cells(self._lefts[slots], self._rights[slots]), 0
        while len(going) > _FEW:
            copies[going] = found = self._look_together(cells, values[going], slots[going])
            further = np.flatnonzero(found == 0)
            step += 1
            going, cells = going[further], (cells[further] + step) & _CELL_MASK
        for i, cell, value, slot in zip(going.tolist(), cells.tolist(), values[going].tolist(), slots[going].tolist(), strict=True):
            copies[i] = self._look_alone(cell, step, value, slot)
        return copies.astype(np.int64) + self._base

    def _look_together(self, cells: NDArray[np.int64], values: NDArray[np.uint32], slots: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Enter values in the cells that are free; the copies found in the others, 0 where another id is."""
        free = np.flatnonzero(self._cells[cells] == 0)[::-1]
        self._cells[cells[free]] = values[free]  # of several that want one cell the last assigned stays: the lowest offset
        found = self._cells[cells]
        distance = values - found  # of a higher offset: huge, it is unsigned
        near = np.flatnonzero((distance > 0) & (distance <= WINDOW_OFFSETS))
        seen = (found[near].astype(np.int64) + self._base) % _SLOTS
        same = (self._lefts[seen] == self._lefts[slots[near]]) & (self._rights[seen] == self._rights[slots[near]])
        copies = np.where(distance == 0, values, np.uint32(0))
        copies[near[same]] = found[near[same]]
        return copies

    def _look_alone(self, cell: int, step: int, value: int, slot: int) -> int:
        lefts, rights, cells = self._lefts.data, self._rights.data, self._cells.data
        while (found := cells[cell]) and found != value:  # its own when it is judged again
            if 0 < value - found <= WINDOW_OFFSETS:
                seen = (found + self._base) % _SLOTS
                if lefts[seen] == lefts[slot] and rights[seen] == rights[slot]:
                    return int(found)
            step += 1
            cell = (cell + step) & _CELL_MASK
        cells[cell] = value
        return value


def _first_cells(lefts: NDArray[np.uint64], rights: NDArray[np.uint64]) -> NDArray[np.int64]:
    mixed: NDArray[np.uint64] = lefts * _FACTORS[0] + rights * _FACTORS[1]
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _FACTORS[2]
    return (mixed >> np.uint64(64 - _CELL_BITS)).astype(np.int64)
