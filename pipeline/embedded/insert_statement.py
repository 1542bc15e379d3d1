"""Where the statement of an INSERT ends and its data begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMENTS = rb"(?:\s|--[^\n]*\n|#[ !][^\n]*\n|/\*.*?\*/)*"
_INSERT = re.compile(rb"\A" + _COMMENTS + rb"INSERT\b", re.I | re.S)
_TOKEN = re.compile(rb"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|--[^\n]*|#[ !][^\n]*|/\*.*?\*/|[A-Za-z_]\w*|\s+|.", re.S)
_NAME = re.compile(rb"\s+([A-Za-z_]\w*)")
_GAP = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass(frozen=True, slots=True)
class InsertHead:
    """`statement` ends before FORMAT or VALUES; the data begins `data_start` bytes into the text, in `format`."""

    statement: str
    format: str
    data_start: int


def is_insert(text: bytes) -> bool:
    """Whether `text` begins, after comments, with INSERT."""
    return _INSERT.match(text) is not None


def split_insert(text: bytes) -> InsertHead | None:
    """The head of an INSERT that brings data; None for one that does not (INSERT … SELECT), or whose head is not complete."""
    depth, names_follow = 0, True
    for token in _TOKEN.finditer(text):
        word = token.group().upper()
        depth += (word == b"(") - (word == b")")
        if depth or not word.strip() or word[:1] in b"-#/":
            continue
        if names_follow:  # a table may be called `values` or `format`
            names_follow = word in {b"INSERT", b"INTO", b"TABLE", b"FUNCTION"}
        elif word == b".":
            names_follow = True
        elif word == b"VALUES":
            return InsertHead(text[: token.start()].decode(), "Values", token.end())
        elif word in {b"SELECT", b"WITH", b"FROM"}:
            return None
        elif word == b"FORMAT":
            return _after_format(text, token.start(), token.end())
    return None


def _after_format(text: bytes, start: int, end: int) -> InsertHead | None:
    name = _NAME.match(text, end)
    if name is None:
        return None
    # ClickHouse's rule: data starts after the first newline if only blanks come before it, else after the blanks.
    gap = _GAP.match(text, name.end())
    return InsertHead(text[:start].decode(), name.group(1).decode(), gap.end() if gap else name.end())
