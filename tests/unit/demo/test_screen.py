from __future__ import annotations

import io

from rich.console import Console

from pipeline.demo.comparison import Number
from pipeline.demo.receivers import Notice
from pipeline.demo.screen import Screen


class Watch:
    """A clock that stands at `ms`."""

    ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


def screen() -> tuple[Screen, io.StringIO, Watch]:
    said, watch = io.StringIO(), Watch()
    return Screen(Console(file=said, highlight=False, width=160), watch), said, watch


def test_an_event_has_both_its_times() -> None:
    """Since the start, and since the first failed menu once there was one; what happened at that moment is +0.0 s, never -0.0."""
    shown, said, watch = screen()
    watch.ms += 1500
    shown.event("ready")
    shown.origin_ms = watch.ms
    shown.event("failed", watch.ms - 20)
    shown.event("paged", watch.ms + 2000)
    assert [line.split() for line in said.getvalue().splitlines()] == [
        ["1.5", "s", "ready"],
        ["1.5", "s", "+0.0", "s", "failed"],
        ["3.5", "s", "+2.0", "s", "paged"],
    ]


def test_text_is_never_read_as_markup_or_cut() -> None:
    """A page has brackets and long lines."""
    shown, said, _ = screen()
    sql = "SELECT [1, 2][kafka_partition + 1] " + "x" * 300
    shown.page(Notice("slack-critical", "slack", "trigger", 1_000_000, ("CRITICAL [bold]", sql), ""), whole=True)
    assert "Slack, channel slack-critical: CRITICAL [bold]\n" in said.getvalue()
    assert f"│ {sql}\n" in said.getvalue()


def test_what_differs_is_marked_in_its_row() -> None:
    """And what agrees is said to."""
    shown, said, _ = screen()
    shown.numbers([Number("views events", 7, 7, sent=7), Number("menus events", 4, 3)])
    rows = [line.split() for line in said.getvalue().splitlines()]
    assert ["views", "events", "7", "7", "7", "agrees"] in rows
    assert ["menus", "events", "4", "3", "DIFFERS"] in rows
