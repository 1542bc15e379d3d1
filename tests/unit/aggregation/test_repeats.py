from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.aggregation.repeats import SLACK_OFFSETS, RepeatWindow, Verdict

COUNTED, REPEAT, CONFLICT = Verdict.COUNTED, Verdict.REPEAT, Verdict.CONFLICT
MENU = uuid.UUID("0192f0c1-2b3a-7c4d-8e5f-0123456789ab")
RECIPE = uuid.UUID("0192f0c1-2b3a-7c4d-8e5f-0123456789ac")  # only the last digit differs
LETTER = uuid.UUID("1192f0c1-2b3a-7c4d-8e5f-0123456789ab")  # only the first digit differs


def judge(window: RepeatWindow, *records: tuple[uuid.UUID, int, int]) -> list[Verdict]:
    """Verdicts on one chunk of (id, offset, content hash)."""
    return window.judge(b"".join(event_id.bytes for event_id, _, _ in records), [r[1] for r in records], [r[2] for r in records])


def test_a_second_copy_is_a_repeat_within_a_chunk_and_across_chunks() -> None:
    """The first copy counts, later ones do not; ids that differ in one digit are different events."""
    window = RepeatWindow()
    assert judge(window, (MENU, 0, 7), (RECIPE, 1, 7), (LETTER, 2, 7), (MENU, 3, 7)) == [COUNTED, COUNTED, COUNTED, REPEAT]
    assert judge(window, (RECIPE, 4, 7), (LETTER, 5, 7)) == [REPEAT, REPEAT]


def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing() -> None:
    """After a conflict the first copy is still what later ones are compared with."""
    window = RepeatWindow()
    assert judge(window, (MENU, 0, 2**64 - 1), (MENU, 1, 7)) == [COUNTED, CONFLICT]
    assert judge(window, (MENU, 2, 7), (MENU, 3, 2**64 - 1)) == [CONFLICT, REPEAT]


@pytest.mark.parametrize(("offset", "verdict"), [(200_005, REPEAT), (200_006, COUNTED)])
def test_the_window_is_the_last_200000_offsets(offset: int, verdict: Verdict) -> None:
    """A copy is a repeat up to exactly 200,000 offsets later, however few events lie between."""
    window = RepeatWindow()
    judge(window, (MENU, 5, 7))
    assert judge(window, (MENU, offset, 7)) == [verdict]


def test_a_repeat_does_not_extend_the_window() -> None:
    """The window is counted from the copy that counted, not from a later repeat of it."""
    window = RepeatWindow()
    judge(window, (MENU, 0, 7), (MENU, 100_000, 7))
    assert judge(window, (MENU, 200_001, 7), (MENU, 200_002, 7)) == [COUNTED, REPEAT]


def test_a_record_is_no_repeat_of_itself() -> None:
    """Records that are read again are judged as the first time."""
    window = RepeatWindow()
    chunk = [(MENU, 10, 7), (RECIPE, 11, 7), (MENU, 12, 7)]
    assert judge(window, *chunk) == judge(window, *chunk) == [COUNTED, COUNTED, REPEAT]
    assert judge(window, *chunk[1:]) == [COUNTED, REPEAT]


def test_an_empty_chunk_is_no_news() -> None:
    """No records, no verdicts, and nothing is forgotten."""
    window = RepeatWindow()
    judge(window, (MENU, 0, 7))
    assert window.judge(b"", [], []) == []
    assert judge(window, (MENU, 1, 7)) == [REPEAT]


def test_what_is_no_longer_held_is_not_guessed() -> None:
    """Going back further than the slack, or to before a loaded position, is refused."""
    window = RepeatWindow()
    judge(window, (MENU, 50_000, 7))
    with pytest.raises(ValueError, match=f"offset {50_000 - SLACK_OFFSETS} is too far back"):
        judge(window, (RECIPE, 50_000 - SLACK_OFFSETS, 7))
    window.load(b"", np.array([], np.int64), np.array([], np.uint64), 60_000)
    with pytest.raises(ValueError, match="offset 59999 is too far back"):
        judge(window, (RECIPE, 59_999, 7))


@pytest.mark.parametrize(
    "ids",
    [
        MENU.bytes + RECIPE.bytes,
        memoryview(MENU.bytes + RECIPE.bytes),
        np.array([MENU.bytes, RECIPE.bytes], "S16"),
        np.frombuffer(MENU.bytes + RECIPE.bytes, np.uint8).reshape(2, 16),
    ],
    ids=["bytes", "memoryview", "fixed strings", "rows of bytes"],
)
def test_loaded_rows_count_as_first_copies_below_the_position(ids: bytes | memoryview | NDArray[Any]) -> None:
    """A row below the position is a first copy with its content; one at the position is about to be read again."""
    window = RepeatWindow()
    window.load(ids, np.array([7, 9], np.int64), np.array([2**64 - 1, 3], np.uint64), 9)
    assert judge(window, (RECIPE, 9, 3), (MENU, 10, 2**64 - 1), (MENU, 11, 1), (RECIPE, 12, 3)) == [COUNTED, REPEAT, CONFLICT, REPEAT]


def test_loading_replaces_what_was_there() -> None:
    """What an earlier life of the partition left behind is gone after a load."""
    window = RepeatWindow()
    judge(window, (MENU, 0, 7))
    window.load(RECIPE.bytes, np.array([1]), np.array([7], np.uint64), 2)
    assert judge(window, (MENU, 2, 7), (RECIPE, 3, 7)) == [COUNTED, REPEAT]


def test_a_reload_needs_the_window_before_the_position_and_nothing_older() -> None:
    """A row 200,000 offsets before the position is a first copy; rows before that are none, however many."""
    window = RepeatWindow()
    window.load(100 * RECIPE.bytes + MENU.bytes, np.arange(900, 1_001), np.full(101, 7, np.uint64), 201_000)
    assert judge(window, (MENU, 201_000, 7), (RECIPE, 201_001, 7)) == [REPEAT, COUNTED]


def test_a_window_never_fills_up() -> None:
    """After 600,000 different events those of the last 200,000 offsets are known, and one that leaves them counts again."""
    window, ids = RepeatWindow(), np.random.default_rng(1).bytes(16 * 600_000)
    for first in range(0, 600_000, 2_000):
        verdicts = window.judge(ids[16 * first : 16 * (first + 2_000)], range(first, first + 2_000), [7] * 2_000)
        assert verdicts == [COUNTED] * 2_000
    again = b"".join(ids[16 * first : 16 * (first + 1)] for first in (400_000, 400_000, 400_002, 400_002, 599_999))
    assert window.judge(again, range(600_000, 600_005), [7] * 5) == [REPEAT, COUNTED, REPEAT, COUNTED, REPEAT]


def test_twelve_full_windows_fit_beside_everything_else() -> None:
    """The windows of all partitions take less than 90 MiB of a worker's 400."""
    assert 12 * RepeatWindow().memory_bytes < 90 * 2**20
