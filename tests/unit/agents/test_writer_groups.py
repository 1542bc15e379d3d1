from __future__ import annotations

from pipeline.agents.writer import LETTER_BYTES_AT_ONCE, LETTERS_AT_ONCE, _groups
from schemas.dead_letter import DeadLetter


def letters(number: int, size: int = 1) -> list[DeadLetter]:
    return [DeadLetter("events", 0, offset, 0, "empty", "it is", "", "", "", None, b"x" * size) for offset in range(number)]


def test_many_dead_letters_are_sent_in_groups() -> None:
    """A flood of forty thousand is not forty thousand messages in memory: in order, none twice, few at once."""
    sent = letters(2 * LETTERS_AT_ONCE + 1)
    groups = list(_groups(sent))
    assert [len(group) for group in groups] == [LETTERS_AT_ONCE, LETTERS_AT_ONCE, 1]
    assert [letter for group in groups for letter in group] == sent


def test_large_dead_letters_are_sent_a_few_at_a_time() -> None:
    """Of a mebibyte each, no more than what is over the bound with the last of them."""
    assert [len(group) for group in _groups(letters(6, 1 << 20))] == [LETTER_BYTES_AT_ONCE // (1 << 20) + 1, 1]
