"""Where `telemetry tail` writes: in colours and cut to the width on a terminal, whole and plain elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import orjson
from rich.console import Console
from rich.text import Text

from pipeline.cli.tailing import Pace, Seen, document_of, line_of
from pipeline.runtime.clock import Clock

#: More than this nobody reads, and a terminal falls behind.
_LINES_PER_S = 100


class Screen(Protocol):
    """Shows what has been seen, and notes that are no event."""

    def show(self, seen: Sequence[Seen]) -> None: ...

    def note(self, text: str) -> None: ...


@contextmanager
def screen(format: str, clock: Clock) -> Iterator[Screen]:
    """While the block runs."""
    console = Console(highlight=False)
    if format == "text" and console.is_terminal:
        yield _Terminal(console, clock)
    else:
        yield _Plain(as_json=format == "json")


class _Plain:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, seen: Sequence[Seen]) -> None:
        if seen:
            lines = [orjson.dumps(document_of(one)).decode() if self._as_json else "  ".join(line_of(one)) for one in seen]
            print("\n".join(lines), flush=True)

    def note(self, text: str) -> None:
        print(f"telemetry: {text}", file=sys.stderr, flush=True)


class _Terminal:
    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock, self._pace = console, clock, Pace(_LINES_PER_S)

    def show(self, seen: Sequence[Seen]) -> None:
        for one in seen:
            if self._pace.admits(self._clock.monotonic()):
                self._say_skipped()
                time, about, text = line_of(one)
                line = Text.assemble((time, "dim"), "  ", (about, "bold"), "  ", (text, "" if one.event else "red"))
                self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        if not seen:
            self._say_skipped()

    def note(self, text: str) -> None:
        self._console.print(Text(f"… {text}", "yellow"))

    def _say_skipped(self) -> None:
        if skipped := self._pace.take_skipped():
            self.note(f"{skipped:,} more events in that second are not shown; --type and --service show fewer, --format json shows all")
