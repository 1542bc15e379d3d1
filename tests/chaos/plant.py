"""Bugs that are planted, each the loss of one of the safeguards, to see that the oracle finds them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from pipeline.agents import loader
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.repeats import RepeatWindow, Verdict
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from pipeline.clickhouse.state import Progress
from pipeline.runtime.ledger import Chunk, Ledger
from pipeline.runtime.resume import Resume
from pipeline.runtime.settings import ClickHouse


class Plant(StrEnum):
    """The safeguard that is missing."""

    LEDGER = "ledger"
    OFFSET_GUARD = "offset-guard"
    REPEATS = "repeats"
    MERGE_BY_LAST = "merge-by-last"


def plant(name: str | None) -> None:
    """Take a safeguard out of this worker; `merge-by-last` is a reader's bug and leaves workers as they are."""
    match name and Plant(name):
        case Plant.LEDGER:
            _commit_what_is_delivered()
        case Plant.OFFSET_GUARD:
            _fold_whatever_the_offset()
        case Plant.REPEATS:
            _count_repeats()


def _commit_what_is_delivered() -> None:
    """As a consumer does that commits by itself: the chunk counts as done when it arrives, and reading resumes where it is committed."""
    deliver, resume_position = Ledger.deliver, loader.resume_position

    def delivered(self: Ledger, records: Sequence[Any], size_bytes: int, now: float) -> Chunk:
        chunk = deliver(self, records, size_bytes, now)
        self.committable = chunk.last_offset + 1
        return chunk

    def at_committed(resume: Resume, progress: Progress | None) -> int:
        return resume_position(resume, progress) if resume.committed is None else resume.committed

    Ledger.deliver = delivered  # type: ignore[method-assign]
    loader.resume_position = at_committed


def _fold_whatever_the_offset() -> None:
    fold = Panes.fold

    def folded(self: Panes, start_ms: int, metric: str, labels: Any, value: float | None, offset: int, received_ms: int) -> None:
        pane = self._panes.get((start_ms, metric, labels))
        if pane is not None:
            pane.last_offset = min(pane.last_offset, offset - 1)
        fold(self, start_ms, metric, labels, value, offset, received_ms)

    Panes.fold = folded  # type: ignore[method-assign]


def _count_repeats() -> None:
    def judged(self: RepeatWindow, ids: bytes, offsets: Sequence[int], content_hashes: Sequence[int]) -> list[Verdict]:
        return [Verdict.COUNTED] * len(offsets)

    RepeatWindow.judge = judged  # type: ignore[method-assign]


_ADDED_UP: Final = ("pane_windows", "panes_before")
_ROWS: Final = "telemetry.panes_raw AS p FINAL"
_LAST: Final = (
    "(SELECT metric, labels, start, argMax(count, version) AS count, argMax(sum, version) AS sum, argMax(buckets, version) AS buckets "
    "FROM telemetry.panes_raw FINAL GROUP BY metric, labels, start) AS p"
)


async def plant_views(warehouse: ClickHouse) -> None:
    """Let the views that add panes up take those of the last partition instead."""
    client, views = Client(warehouse), read_folder(sql_folder("views"))
    for name in _ADDED_UP:
        if _ROWS not in views[name]:
            raise LookupError(f"{name} does not read {_ROWS!r} any more: the bug cannot be planted there")
        await client.command(views[name].replace(_ROWS, _LAST))
    await client.close()
