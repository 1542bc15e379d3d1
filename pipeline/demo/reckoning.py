"""The end of a demo: wait until everything that was sent has become a number, and lay the numbers side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from pipeline.demo.board import Board, Series, Totals
from pipeline.demo.comparison import (
    Fraction,
    Number,
    alert_numbers,
    differing,
    error_numbers,
    pane_numbers,
    readable,
    series_numbers,
)
from pipeline.demo.observations import Observations, end_offsets
from pipeline.demo.screen import Screen
from pipeline.demo.stage import Stack
from pipeline.demo.warehouse import Warehouse
from pipeline.runtime.errors import Stop
from schemas.alert import Alert
from schemas.pane import MILLIONTHS
from schemas.timestamps import to_ms

_FOLDED_WITHIN_S: Final = 60.0
_COMPARISONS: Final = 5
#: Shown so many, when more differ; the exit code counts all.
_NAMED: Final = 3


async def settle(stack: Stack, observations: Observations, warehouse: Warehouse) -> dict[int, int]:
    """Wait until nothing is under way any more; where events.v1 ends then. Raises Stop when that takes too long."""
    ends = await end_offsets(stack.kafka)
    board = observations.board
    await observations.until("every event on panes.v1", lambda: board.has_folded(ends) or None, _FOLDED_WITHIN_S)
    await observations.until_yes("every event in ClickHouse", lambda: warehouse.has_everything(ends), _FOLDED_WITHIN_S)
    return ends


async def compare(board: Board, warehouse: Warehouse, from_ms: int, alerts: Iterable[Alert], sent: Mapping[Series, int]) -> list[Number]:
    """Every number since `from_ms`, and those of `alerts`; `sent`: accepted events by series, where that is known."""
    seen, by_sql = board.series(from_ms), await warehouse.series(from_ms)
    numbers = series_numbers(seen, by_sql, sent) + error_numbers(seen, by_sql)
    numbers += pane_numbers(board.panes(from_ms), await warehouse.panes(from_ms))
    for alert in alerts:
        window, errors = board.metric("menu_generation", to_ms(alert.window_from), to_ms(alert.window_to))
        numbers += alert_numbers(alert, await warehouse.alert(alert), _fraction(alert, window, errors))
    return numbers


async def compare_at_rest(
    stack: Stack, observations: Observations, warehouse: Warehouse, comparison: Callable[[], Awaitable[list[Number]]]
) -> list[Number]:
    """The numbers of `comparison`, made while no event came. The stack itself says something now and then, so it is made again if need be.

    Raises Stop when events never cease to come.
    """
    for _ in range(_COMPARISONS):
        ends = await settle(stack, observations, warehouse)
        numbers = await comparison()
        if await end_offsets(stack.kafka) == ends:
            return numbers
    raise Stop("events went on arriving while numbers were compared: stop what publishes to this stack, then compare again")


def conclude(numbers: list[Number], screen: Screen) -> int:
    """Show the comparison and what comes of it; the exit code."""
    screen.heading("Every number as the alerter saw it on panes.v1, or as the alert says it, beside the same number by SQL from events")
    screen.numbers(numbers)
    screen.say()
    wrong = differing(numbers)
    if not wrong:
        screen.say(f"All {len(numbers)} numbers agree.", "bold green")
        return 0
    named = "; ".join(f"{n.name}: seen {readable(n.seen, n.unit)}, by SQL {readable(n.by_sql, n.unit)}" for n in wrong[:_NAMED])
    screen.say(f"{len(wrong)} of {len(numbers)} numbers differ: {named}{' …' if len(wrong) > _NAMED else ''}", "bold red")
    return 1


def _fraction(alert: Alert, window: Totals, errors: int) -> Fraction:
    return Fraction.of(errors if alert.unit == "ratio" else window.sum_millionths / MILLIONTHS, window.count)
