"""What the demo shows: lines in the order things happen, a table that lives below them on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.demo.board import PERCENTILES
from pipeline.demo.comparison import Number, readable
from pipeline.demo.rates import Row
from pipeline.demo.receivers import Notice
from pipeline.runtime.clock import Clock

#: Where the output is no terminal: as wide as the longest row, and numbers so often.
_PLAIN_WIDTH: Final = 160
_PLAIN_EVERY_S: Final = 10
_TITLES: Final = {"slack": "Slack, channel {}", "pagerduty": "PagerDuty, service {}"}


def console() -> Console:
    """Standard output; where it is no terminal, plain text that is not cut to 80 characters."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


class Screen:
    """Times are shown since the demo began and, once `origin_ms` is set, since the first failed menu."""

    def __init__(self, output: Console, clock: Clock) -> None:
        self.origin_ms: int | None = None
        self._output, self._clock = output, clock
        self._began_ms = clock.now_ms()

    def say(self, text: str = "", style: str = "") -> None:
        self._output.print(Text(text, style), soft_wrap=True)

    def heading(self, text: str) -> None:
        self.say()
        self.say(text, "bold")

    def event(self, text: str, at_ms: int | None = None, style: str = "") -> None:
        """Something happened, at `at_ms` or now."""
        at_ms = self._clock.now_ms() if at_ms is None else at_ms
        since = "" if self.origin_ms is None else f"{_tenths(at_ms - self.origin_ms):+.1f} s"
        self.say(f"{(at_ms - self._began_ms) / 1000:7.1f} s {since:>9}  {text}", style)

    def page(self, notice: Notice, *, whole: bool) -> None:
        """A notification as its reader sees it; the first line only unless `whole`."""
        title = _TITLES[notice.kind].format(notice.receiver)
        self.event(f"{title}: {notice.lines[0]}", notice.at_ms, "bold yellow")
        if whole:
            for line in notice.lines[1:]:
                self.say(f"{'':>20}  │ {line}", "yellow")

    async def live(self, rows: Callable[[], Sequence[Row]]) -> None:
        """Show `rows` until cancelled: in a table once a second on a terminal, else in a line every ten seconds."""
        if not self._output.is_terminal:
            rows()  # what arrives is counted from here
            while True:
                await asyncio.sleep(_PLAIN_EVERY_S)
                self.event("; ".join(map(_sentence, rows())))
        with Live(console=self._output, auto_refresh=False, transient=True) as live:
            while True:
                live.update(_table(rows()), refresh=True)
                await asyncio.sleep(1)

    def timeline(self, steps: Iterable[tuple[str, int]]) -> None:
        """Everything that was observed, in the order it happened."""
        self.heading("What was observed")
        for text, at_ms in sorted(steps, key=lambda step: step[1]):
            self.event(text, at_ms)

    def numbers(self, numbers: Iterable[Number]) -> None:
        """The comparison, one number a row; what differs is marked."""
        table = Table("number", "as the alerter saw it", "by SQL from events", "sent", "", box=None, pad_edge=False)
        for column in table.columns[1:4]:
            column.justify = "right"
        for number in numbers:
            values = [readable(value, number.unit) for value in (number.seen, number.by_sql)]
            sent = "" if number.sent is None else readable(number.sent, number.unit)
            table.add_row(number.name, *values, sent, "agrees" if number.agrees else "DIFFERS", style="" if number.agrees else "bold red")
        self._output.print(table)


def _table(rows: Sequence[Row]) -> Table:
    table = Table("", "events", "arriving", "last minute", "failed", "error rate", *(f"p{percent}" for percent in PERCENTILES))
    table.title = "panes.v1, as the alerter sees it"
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        judged = row.errors is not None  # what is replayed is older than the last minute
        table.add_row(
            row.name,
            f"{row.events:,}",
            f"{row.per_s:.1f}/s",
            f"{row.last_minute.count:,}" if judged else "",
            *_errors(row),
            *_percentiles(row),
        )
    return table


def _sentence(row: Row) -> str:
    arrived = f"{row.events:,} in all, {row.per_s:.1f}/s arriving"
    if row.errors is None:
        return f"{row.name}: {arrived}"
    failed, rate = _errors(row)
    quantiles = ", ".join(f"p{percent} {value}" for percent, value in zip(PERCENTILES, _percentiles(row), strict=True) if value)
    return f"{row.name}: {row.last_minute.count:,} in the last minute, {failed} failed = {rate}, {quantiles} ({arrived})"


def _tenths(ms: int) -> float:
    return round(ms / 1000, 1) + 0.0  # never -0.0


def _errors(row: Row) -> tuple[str, str]:
    if row.errors is None:
        return "", ""
    return f"{row.errors:,}", f"{row.errors / row.last_minute.count * 100:.1f} %" if row.last_minute.count else "-"


def _percentiles(row: Row) -> list[str]:
    values = (row.last_minute.percentile(percent) for percent in PERCENTILES)
    return ["" if value is None else f"{value:.2f} ms" for value in values]
