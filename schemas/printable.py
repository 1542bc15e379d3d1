"""Text of somebody else's, made harmless for a line that people read."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line: a space in place of each character that moves a cursor, ends a line or turns the direction of writing."""
    return "".join(character if character.isprintable() else " " for character in text)
