"""From what is on the board, or was read, to the numbers of one comparison."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

from alerting.engine.board import Board
from alerting.engine.condition import Comparison
from alerting.engine.evaluate import Sample
from alerting.engine.knowledge import Knowledge
from alerting.engine.measure import Measure, Tally, scale
from alerting.engine.readings import Known
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.pane import PANE_MS

#: Of so long before a window it is told how many events would have come in it.
ABSENCE_LOOKBACK_MS: Final = 3_600_000

#: Of one series over [from, to) panes.
_TallyOf = Callable[[Series, int, int], Tally]


class Totals:
    """Windows of all series of a measure, added up at once when many of them are looked at."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._windows: dict[tuple[Measure, int, int], tuple[list[int], list[int]]] = {}
        self._partitions: dict[tuple[Measure, int, int], dict[Series, list[int]]] = {}

    def tally(self, measure: Measure, series: Series, from_pane: int, to_pane: int) -> Tally:
        key = (measure, from_pane, to_pane)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = measure.tallies(from_pane, to_pane)
        row = measure.rows.get(series)
        return Tally() if row is None else Tally(window[0][row], window[1][row])

    def events_by_partition(self, measure: Measure, series: Series, from_pane: int, to_pane: int) -> list[int]:
        """See `Board`."""
        if (counted := measure.events_by_partition(series, from_pane, to_pane)) is not None:
            return counted
        key = (measure, from_pane, to_pane)
        if key not in self._partitions:
            self._partitions[key] = self._board.all_events_by_partition(*key)
        return self._partitions[key].get(series, [0] * measure.partitions)


def pane_sample(
    knowledge: Knowledge,
    rule: Rule,
    comparison: Comparison,
    measure: Measure,
    series: Series,
    window_ms: tuple[int, int],
    totals: Totals | None,
) -> Sample:
    """The numbers of one series over a window of panes, [from, to) in ms, and what they are compared with."""
    from_pane, to_pane = window_ms[0] // PANE_MS, window_ms[1] // PANE_MS
    tally_of: _TallyOf = measure.tally if totals is None else partial(totals.tally, measure)
    tally = tally_of(series, from_pane, to_pane)
    usual = knowledge.usual(rule, comparison, series, *window_ms) if comparison.needs_baseline else None
    return Sample(
        window_from_ms=window_ms[0],
        window_to_ms=window_ms[1],
        numerator=tally.numerator / scale(comparison.quantity),
        denominator=tally.denominator,
        buckets=measure.buckets(series, from_pane, to_pane) if measure.is_quantile else {},
        usual=usual,
        expected=_expected(tally_of, series, from_pane, to_pane) if comparison.against == "absence" else None,
        answered=usual is not None or not comparison.needs_baseline,
    )


def reading_sample(known: Known | None, series: Series, window_ms: tuple[int, int]) -> Sample:
    """The numbers of one series as ClickHouse has them; `window_ms` is what should have been answered."""
    if known is None:
        return Sample(*window_ms, 0.0, 0, answered=False)
    row = known.rows.get(series)
    if row is None:
        return Sample(known.window_from_ms, known.window_to_ms, 0.0, 0)
    return Sample(known.window_from_ms, known.window_to_ms, row.numerator, round(row.denominator), value=row.value)


def _expected(tally_of: _TallyOf, series: Series, from_pane: int, to_pane: int) -> float:
    """How many events would have come in the window: the median of as long stretches of the hour before it.

    The mean would expect the rest of the year what a nightly job has done in one of them.
    """
    length, oldest = to_pane - from_pane, from_pane - ABSENCE_LOOKBACK_MS // PANE_MS
    ends = range(from_pane, oldest + length - 1, -length)
    return float(median(tally_of(series, end - length, end).denominator for end in ends))
