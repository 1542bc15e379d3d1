"""What is usual: the median of the same hour, by the clock on people's walls, of the last four weeks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from statistics import median
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from alerting.engine.condition import Comparison
from alerting.engine.questions import HOUR_MS, WEEK
from alerting.engine.series import Series, series_of
from schemas.decision import Reading
from schemas.timestamps import from_ms, to_ms

WEEKS: Final = 4
#: Fewer weeks are no history.
MIN_WEEKS: Final = 2
#: Where the users are: what is usual at eight in the morning moves with summer time.
_WALL_CLOCK: Final = ZoneInfo("Europe/Paris")


class Usual(NamedTuple):
    """Of one hour: the median, None with fewer than two weeks, and from how many weeks it is."""

    value: float | None
    weeks: int


NOTHING_USUAL: Final = Usual(None, 0)


def same_hours_ms(hour_ms: int) -> list[int]:
    """The same hour one to four weeks before; starts of hours, in ms."""
    hour = from_ms(hour_ms).astimezone(_WALL_CLOCK)
    return [to_ms(hour - timedelta(weeks=week)) for week in range(1, WEEKS + 1)]


def hours_of(window_from_ms: int, window_to_ms: int) -> range:
    """The starts of the hours that a window lies in."""
    return range(window_from_ms // HOUR_MS * HOUR_MS, window_to_ms, HOUR_MS)


def usual_of(reading: Reading, by: Iterable[str]) -> dict[Series, Usual]:
    """What an answer about one hour says, by series."""
    values: dict[Series, list[float]] = {}
    labels = tuple(by)
    for row in reading.rows:
        if row.value is not None and WEEK in row.labels:
            values.setdefault(series_of(row.labels, labels), []).append(row.value)
    return {series: Usual(median(of) if len(of) >= MIN_WEEKS else None, len(of)) for series, of in values.items()}


def usual_over(comparison: Comparison, hours: Mapping[int, Usual], window_from_ms: int, window_to_ms: int) -> Usual:
    """What is usual over a window: of a count the sum, else the mean, of its hours, by how much of each lies in it.

    `hours` has every hour of the window. Unknown while one of them is.
    """
    total, weeks = 0.0, WEEKS
    for hour_ms in hours_of(window_from_ms, window_to_ms):
        value, known_weeks = hours[hour_ms]
        weeks = min(weeks, known_weeks)
        overlap_ms = min(window_to_ms, hour_ms + HOUR_MS) - max(window_from_ms, hour_ms)
        total += (value or 0.0) * overlap_ms
    if weeks < MIN_WEEKS:
        return Usual(None, weeks)
    return Usual(total / (HOUR_MS if comparison.quantity.kind == "count" else window_to_ms - window_from_ms), weeks)
