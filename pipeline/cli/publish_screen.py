"""What a person sees while a file is published: how far it is, and in one line what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Screen:
    """A bar on a terminal; elsewhere one line on stderr when a wait begins and one when it is over."""

    def __init__(self, console: Console, progress: Progress, task: TaskID, total: int) -> None:
        self._console, self._progress, self._task, self._total = console, progress, task, total
        self._answered = 0
        self._waits = False

    def sent(self, answered: int) -> None:
        """So many more lines have been answered for."""
        self._answered += answered
        self._progress.advance(self._task, answered)

    def wait(self, reason: str | None, seconds: float) -> None:
        """Nothing has gone on for so long, and why; None: it goes on again."""
        if self._console.is_terminal:
            text = "publishing" if reason is None else f"waiting for {seconds:.0f} s: {escape(reason)}"
            self._progress.update(self._task, description=text)
        elif (reason is not None) != self._waits:
            so_far = f"{self._answered} of {self._total} lines are answered for"
            self._console.print(
                f"waiting: {reason}; {so_far}" if reason else f"going on after {seconds:.0f} s", markup=False, soft_wrap=True
            )
        self._waits = reason is not None


@contextmanager
def screen(total: int) -> Iterator[Screen]:
    """While the block runs."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Screen(console, progress, progress.add_task("publishing", total=total), total)
