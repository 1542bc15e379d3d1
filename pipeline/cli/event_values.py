"""The values of a file of events, one after the other: a line each, the elements of an array, or one event that fills the file.

Memory is bounded whatever the file is: a value longer than a gateway takes is passed over, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydantic_core import from_json

from pipeline.gateway.limits import MAX_BODY_BYTES

_CHUNK_BYTES: Final = 1 << 18
_BOM: Final = b"\xef\xbb\xbf"
#: What a scan of an array stops at.
_MARKS: Final = re.compile(rb'["\\\[\]{},\n]')
_BACKSLASH, _QUOTE, _COMMA, _NEWLINE, _BRACE = b'\\",\n}'
_OPENING, _CLOSING = b"[{", b"]}"


@dataclass(frozen=True, slots=True)
class Value:
    """`content` is what stands at `line`, without the blanks around it; `problem` is set where nothing can be read there."""

    line: int
    content: bytes
    problem: str = ""


Told = Callable[[int], None]


def values_of(file: BinaryIO, told: Told = lambda size: None) -> tuple[bool, Iterator[Value]]:
    """Whether the values are lines (each is judged by itself) or elements of JSON, and the values in order, blank lines left out.

    Args:
        file: read from its position to its end.
        told: of every number of bytes that has been read.
    """
    head = file.read(_CHUNK_BYTES)
    text = head.removeprefix(_BOM).lstrip()
    if text.startswith(b"["):
        return False, _elements(_Chunks(head, file, told))
    if (whole := _whole(text, file)) is not None:
        told(len(head))
        return False, iter([whole])
    return True, _lines(_Chunks(head.removeprefix(_BOM), file, told))


class _Chunks:
    """The rest of a file, what was read of it already included."""

    def __init__(self, head: bytes, file: BinaryIO, told: Told) -> None:
        self._head, self._file, self._told = head, file, told

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._head
        while chunk:
            self._told(len(chunk))
            yield chunk
            chunk = self._file.read(_CHUNK_BYTES)


def _whole(text: bytes, file: BinaryIO) -> Value | None:
    """The event that takes the whole of a file over several lines, None when there is none."""
    first, _, more = text.partition(b"\n")
    if not first.startswith(b"{") or not more.strip() or _is_json(first):
        return None
    position = file.tell()
    content = text + file.read(MAX_BODY_BYTES)
    if not file.read(1) and _is_json(content):
        return Value(1, content.strip())
    file.seek(position)
    return None


def _is_json(text: bytes) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def _lines(chunks: _Chunks) -> Iterator[Value]:
    value = _Piece(1)
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        value.add(first)
        for part in others:
            yield from value.end(blank_is="")
            value = _Piece(value.line + 1)
            value.add(part)
    yield from value.end(blank_is="")


class _Piece:
    """A value as far as it has been read; `line` is where it begins."""

    def __init__(self, line: int) -> None:
        self.line = line
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= MAX_BODY_BYTES:
            self._parts.append(part)
        else:
            self._parts.clear()

    def end(self, blank_is: str) -> Iterator[Value]:
        """The value; one of blanks is nothing, or the problem `blank_is`."""
        content = b"".join(self._parts)
        if self._size > MAX_BODY_BYTES:
            yield Value(self.line, b"", f"the value has {self._size} bytes, at most {MAX_BODY_BYTES} are taken in one request")
        elif stripped := content.strip():
            yield Value(self.line + content[: len(content) - len(content.lstrip())].count(b"\n"), stripped)
        elif blank_is:
            yield Value(self.line, b"", blank_is)


def _elements(chunks: _Chunks) -> Iterator[Value]:
    scan = _ArrayScan()
    for chunk in chunks:
        yield from scan.read(chunk)
    yield from scan.close()


class _ArrayScan:
    """Finds where the elements of an array end, by its brackets, commas and quotes; whether an element is JSON is judged later."""

    def __init__(self) -> None:
        self._depth, self._in_text, self._escaped_at = 0, False, -1
        self._read = 0  # bytes of the chunks before
        self._line, self._count = 1, 0
        self._piece = _Piece(1)
        self._ended = False

    def read(self, chunk: bytes) -> Iterator[Value]:
        """The elements that end in `chunk`."""
        start = 0
        for match in _MARKS.finditer(chunk):
            at, mark = match.start(), chunk[match.start()]
            self._line += mark == _NEWLINE
            if self._ended or self._read + at == self._escaped_at:
                continue
            if self._in_text or mark == _QUOTE:
                self._text(mark, self._read + at)
            elif mark in _OPENING:
                self._depth += 1
                if self._depth == 1:
                    self._piece, start = _Piece(self._line), at + 1
            elif mark in _CLOSING or (mark == _COMMA and self._depth == 1):
                self._depth -= mark in _CLOSING
                if mark == _COMMA or self._depth == 0:
                    self._piece.add(chunk[start:at])
                    yield from self._piece.end(blank_is="" if self._is_empty(mark) else "an element is missing")
                    if mark == _BRACE:
                        yield Value(self._line, b"", "the array ends with }")
                    self._piece, start = _Piece(self._line), at + 1
                    self._count += 1
                    self._ended = self._depth == 0
        self._piece.add(chunk[start:])
        self._read += len(chunk)

    def close(self) -> Iterator[Value]:
        """What is wrong with the end."""
        if not self._ended:
            yield Value(self._line, b"", "the file ends before its array does")
        else:
            yield from (Value(value.line, b"", "something follows the array") for value in self._piece.end(blank_is=""))

    def _text(self, mark: int, at: int) -> None:
        if mark == _QUOTE:
            self._in_text = not self._in_text
        elif mark == _BACKSLASH:
            self._escaped_at = at + 1

    def _is_empty(self, mark: int) -> bool:
        """Whether nothing but the closing bracket has come: an array may have no elements."""
        return self._count == 0 and mark in _CLOSING
