"""Which records of a partition are repeats: the first counted copy of every event_id of its last 200,000 offsets, packed.

The verdict on a record is a function of the log alone: it does not depend on how the stream was cut into chunks, nor on where
a worker died and resumed. Two copies that counted lie more than a window apart, so at most one of them is seen from any offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

WINDOW_OFFSETS: Final = 200_000
#: How far back `judge` may go without a reload, and the longest chunk.
SLACK_OFFSETS: Final = 16_384

_SLOTS: Final = WINDOW_OFFSETS + SLACK_OFFSETS
_CELL_BITS: Final = 19
_CELLS: Final = 1 << _CELL_BITS
_CELL_MASK: Final = _CELLS - 1
_CELLS_USED_MAX: Final = _CELLS * 5 // 8
_CELL_VALUE_MAX: Final = (1 << 32) - 1
# Ids come from the public, and ids chosen to share a cell would make every look-up slow. Python's own secret of the process
# (PYTHONHASHSEED) keeps the cells unguessable; no verdict depends on it.
_FACTORS: Final = np.array([hash(name) & (1 << 64) - 1 | 1 for name in ("first half", "second half", "cell")], np.uint64)


class Verdict(IntEnum):
    """What becomes of a record: folded in, dropped, or dead-lettered as `event_id_conflict`."""

    COUNTED = 0
    REPEAT = 1
    CONFLICT = 2


class RepeatWindow:
    """The window of one partition. 7 MiB when full; memory is touched only as it fills.

    The entry of offset o lies in slot o % _SLOTS. A hash table (open addressing, triangular probing) leads from an id to the
    offsets of its entries. A cell is 0 when free, else offset - _base + 1: an entry that left the window is known by its cell
    alone and costs nothing but that cell, until the table is full and built again.
    """

    def __init__(self) -> None:
        self._halves = np.zeros(2 * _SLOTS, np.uint64)
        self._hashes = np.zeros(_SLOTS, np.uint64)
        self._cells = np.zeros(_CELLS, np.uint32)
        self._used = 0
        self._base = 0
        self._next = 0  # one above the highest offset judged or loaded
        self._earliest = 0  # the lowest offset that can be judged: all it may repeat is still held

    @property
    def memory_bytes(self) -> int:
        """Bytes of the window when it is full."""
        return self._halves.nbytes + self._hashes.nbytes + self._cells.nbytes

    def load(self, ids: bytes | memoryview | NDArray[Any], offsets: NDArray[Any], content_hashes: NDArray[Any], position: int) -> None:
        """Replace the content by what was counted in an earlier life, to go on at `position`.

        Needs every counted record with an offset in [position - WINDOW_OFFSETS, position), in any order, twice if need be.
        All others are left out: older ones are of no use, and those from `position` on are about to be read and judged again.

        Args:
            ids: 16 bytes each, as `uuid.UUID.bytes`, end to end.
            offsets: integers, one per id.
            content_hashes: unsigned 64-bit integers, one per id.
            position: offset of the next record to judge.
        """
        kept = np.flatnonzero((offsets >= position - WINDOW_OFFSETS) & (offsets < position))
        entries, where = np.unique(offsets[kept].astype(np.int64), return_index=True)
        slots = entries % _SLOTS
        self._halves.reshape(-1, 2)[slots] = np.frombuffer(ids, np.uint64).reshape(-1, 2)[kept[where]]
        self._hashes[slots] = content_hashes[kept[where]]
        self._next = self._earliest = position
        self._index(entries)

    def judge(self, ids: bytes, offsets: Sequence[int], content_hashes: Sequence[int]) -> list[Verdict]:
        """Verdicts on consecutive records, one each, in order; those that count are remembered.

        A record is COUNTED unless a counted one whose offset is lower, by at most WINDOW_OFFSETS, has its id: then it is a
        REPEAT, or a CONFLICT when the content differs. Records may be judged again, alike: all that was remembered from the
        first offset on is forgotten before.

        Args:
            ids: 16 bytes each, as `uuid.UUID.bytes`, end to end.
            offsets: strictly increasing, one per id; at most SLACK_OFFSETS of them.
            content_hashes: unsigned 64-bit integers, one per id.

        Raises:
            ValueError: The first offset lies further back than is remembered: load a new window for it.
        """
        if not offsets:
            return []
        self._make_room(offsets[0], offsets[-1], len(offsets))
        pairs = np.frombuffer(ids, np.uint64)
        records = zip(_homes(pairs).tolist(), pairs[::2].tolist(), pairs[1::2].tolist(), offsets, content_hashes, strict=True)
        verdicts = self._judge_each(records)
        self._next = offsets[-1] + 1
        self._earliest = max(self._earliest, self._next - SLACK_OFFSETS)
        return verdicts

    def _judge_each(self, records: Iterable[tuple[int, int, int, int, int]]) -> list[Verdict]:
        """Verdicts on (home cell, first half, second half, offset, content hash), one after the other."""
        halves, hashes, cells, base = self._halves.data, self._hashes.data, self._cells.data, self._base - 1
        counted, verdicts = Verdict.COUNTED, []
        for home, first_half, second_half, offset, content_hash in records:
            cell, step, verdict = home, 0, counted
            while value := cells[cell]:
                seen = base + value
                if offset - WINDOW_OFFSETS <= seen < offset:
                    slot = seen % _SLOTS
                    if halves[2 * slot] == first_half and halves[2 * slot + 1] == second_half:
                        verdict = Verdict.REPEAT if hashes[slot] == content_hash else Verdict.CONFLICT
                        break
                step += 1
                cell = (cell + step) & _CELL_MASK
            else:
                slot = offset % _SLOTS
                halves[2 * slot], halves[2 * slot + 1], hashes[slot] = first_half, second_half, content_hash
                cells[cell] = offset - base
                self._used += 1
            verdicts.append(verdict)
        return verdicts

    def _make_room(self, first: int, last: int, count: int) -> None:
        """See to it that nothing from `first` on is remembered and that `count` cells can be used for offsets up to `last`."""
        if first < self._earliest:
            raise ValueError(f"offset {first} is too far back: what it may repeat is no longer held; load a new window for it")
        if count > SLACK_OFFSETS:
            raise ValueError(f"{count} records are too many for one chunk; judge at most {SLACK_OFFSETS}")
        self._earliest = max(self._earliest, first - SLACK_OFFSETS)
        if first < self._next or self._used + count > _CELLS_USED_MAX or last - self._base >= _CELL_VALUE_MAX:
            entries = self._cells[self._cells > 0].astype(np.int64) + (self._base - 1)
            self._index(entries[(entries >= self._earliest - WINDOW_OFFSETS) & (entries < first)])

    def _index(self, entries: NDArray[np.int64]) -> None:
        """Build the table for the entries at these offsets, all in their slots and none before the window of _earliest."""
        self._base = self._earliest - WINDOW_OFFSETS
        self._used = len(entries)
        self._cells.fill(0)
        values = (entries - (self._base - 1)).astype(np.uint32)
        cells = _homes(self._halves.reshape(-1, 2)[entries % _SLOTS].ravel())
        step = 0
        while len(values):
            free = self._cells[cells] == 0
            self._cells[cells[free]] = values[free]
            placed = self._cells[cells] == values  # of those that wanted the same free cell, one got it
            values, cells = values[~placed], cells[~placed]
            step += 1
            cells = (cells + step) & _CELL_MASK


def _homes(pairs: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The first cell to look at for each id; an id is two halves, side by side."""
    mixed: NDArray[np.uint64] = pairs[::2] * _FACTORS[0] + pairs[1::2] * _FACTORS[1]
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _FACTORS[2]
    return (mixed >> np.uint64(64 - _CELL_BITS)).astype(np.int64)
