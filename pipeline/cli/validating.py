"""What a gateway would say to the events of a file, by its own code and without sending them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.cli.event_values import Value
from pipeline.gateway.intake import read_events
from pipeline.runtime.errors import Reject
from schemas.event import FieldError

_TOGETHER: Final = 200
_TOGETHER_BYTES: Final = 512 << 10
#: Stands for the id that the gateway gives an event without one.
_SOME_ID: Final = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said to one event, the `index`th of the file from 0, which begins at `line`. Without errors it is accepted.

    `refused` is False for an event that is accepted although it has errors: its type is not enforced yet.
    """

    line: int
    index: int
    event_id: str = ""
    errors: tuple[FieldError, ...] = ()
    refused: bool = False


def verdicts(values: Iterable[Value], *, lines: bool) -> Iterator[Verdict]:
    """A verdict on each value, in order; `lines` as `values_of` says."""
    index = 0
    for some in _batches(values):
        yield from _judge(some, index, lines=lines)
        index += len(some)


def _batches(values: Iterable[Value]) -> Iterator[list[Value]]:
    some: list[Value] = []
    size = 0
    for value in values:
        if some and (len(some) == _TOGETHER or size + len(value.content) > _TOGETHER_BYTES):
            yield some
            some, size = [], 0
        some.append(value)
        size += len(value.content)
    if some:
        yield some


def _judge(values: Sequence[Value], first: int, *, lines: bool) -> list[Verdict]:
    readable = [value for value in values if not value.problem]
    if len(readable) < len(values) and len(values) > 1:
        return [verdict for i, value in enumerate(values) for verdict in _judge([value], first + i, lines=lines)]
    if not readable:
        return [Verdict(values[0].line, first, errors=(FieldError("", values[0].problem),), refused=True)]
    contents = [value.content for value in values]
    try:
        intake = read_events(b"\n".join(contents) if lines else b"[" + b",".join(contents) + b"]", ndjson=lines, new_id=lambda: _SOME_ID)
    except Reject as error:
        if len(values) > 1:
            return [verdict for i, value in enumerate(values) for verdict in _judge([value], first + i, lines=lines)]
        return [Verdict(values[0].line, first, errors=(FieldError("", str(error)),), refused=True)]
    found = [Verdict(value.line, first + i) for i, value in enumerate(values)]
    for one in intake.rejected:
        found[one.index] = Verdict(values[one.index].line, first + one.index, one.event_id or "", one.bad.errors, refused=True)
    for violation in intake.violations:
        found[violation.index] = Verdict(values[violation.index].line, first + violation.index, violation.event_id, violation.bad.errors)
    return found
