"""Which records of a chunk gateways have accepted, as runs: what is published together has one stamp and consecutive offsets.

A row for each run says that its records were read. The sum of all rows is a set of offsets, whichever way the log was cut into chunks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.aggregation.partition import Folded, Record
from schemas.acceptance import accepted_by


@dataclass(slots=True)
class AcceptedRun:
    """Records from `first_offset` to `last_offset`, both included. `repeated` and `dead_lettered` are offsets of those that have no row
    among the events: repeats and records forwarded to their own partition, and refused ones."""

    accepted_by: str
    received_ms: int
    first_offset: int
    last_offset: int
    repeated: list[int] = field(default_factory=list)
    dead_lettered: list[int] = field(default_factory=list)


def accepted_runs(records: Sequence[Record], folded: Folded) -> list[AcceptedRun]:
    """The runs of a chunk, in order."""
    runs = list(_runs(records))
    if runs and len(folded.counted) < len(records):
        others = sorted(set(range(len(records))).difference([one.index for one in folded.counted]))
        _set_apart(runs, [records[i].offset for i in others], {records[i].offset for i in folded.bad})
    return runs


def _runs(records: Sequence[Record]) -> Iterator[AcceptedRun]:
    headers: Sequence[tuple[str, bytes]] = ()
    received_ms = next_offset = -1
    run: AcceptedRun | None = None
    for record in records:
        offset = record.offset
        if offset == next_offset and record.timestamp == received_ms and record.headers == headers:
            next_offset += 1
            continue
        if run is not None:
            run.last_offset = next_offset - 1
            yield run
        headers, received_ms, next_offset = record.headers, record.timestamp, offset + 1
        source = accepted_by(headers) if headers else ""
        run = AcceptedRun(source, received_ms, offset, offset) if source else None
    if run is not None:
        run.last_offset = next_offset - 1
        yield run


def _set_apart(runs: Sequence[AcceptedRun], offsets: Iterable[int], refused: Collection[int]) -> None:
    remaining = iter(runs)
    run = next(remaining)
    for offset in offsets:
        while offset > run.last_offset:
            if (following := next(remaining, None)) is None:
                return
            run = following
        if offset >= run.first_offset:
            (run.dead_lettered if offset in refused else run.repeated).append(offset)
