from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerting.engine.baseline import Usual, hours_of, same_hours_ms, usual_of, usual_over
from alerting.engine.condition_text import parse_condition
from schemas.decision import Reading, ReadingRow
from schemas.timestamps import from_ms, to_ms
from tests.unit.alerting.traffic import T0_MS

HOUR_MS = 3_600_000


def utc(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_the_same_hour_is_that_of_the_clock_on_the_wall() -> None:
    """Eight in the morning in Paris is 07:00 UTC in winter, and was 06:00 until 25 October 2026."""
    hours = same_hours_ms(utc("2026-11-09T07:00"))
    assert hours == [utc("2026-11-02T07:00"), utc("2026-10-26T07:00"), utc("2026-10-19T06:00"), utc("2026-10-12T06:00")]


@pytest.mark.parametrize(("from_s", "to_s", "hours"), [(0, 60, [0]), (-60, 60, [-1, 0]), (-3600, 0, [-1]), (-3590, 10, [-1, 0])])
def test_a_window_lies_in_one_hour_or_two(from_s: int, to_s: int, hours: list[int]) -> None:
    """T0 is the start of an hour; an hour that a window ends with is not in it."""
    assert list(hours_of(T0_MS + from_s * 1000, T0_MS + to_s * 1000)) == [T0_MS + hour * HOUR_MS for hour in hours]


def test_usual_is_the_median_of_the_weeks_that_are_left() -> None:
    """By series; of a single week nothing can be said, and a week without a value is none."""
    values: dict[str, list[float | None]] = {"a": [100, 500, 120, 110], "b": [7], "c": [None, 4, 8], "d": [1, 2, 90]}
    rows = tuple(
        ReadingRow(labels={"flag": flag, "week": str(week)}, numerator=0, denominator=0, value=value)
        for flag, of in values.items()
        for week, value in enumerate(of)
    )
    reading = Reading(question_id="q", window_from=from_ms(0), window_to=from_ms(1), read_at=from_ms(2), rows=rows)
    usual = {dict(series)["flag"]: of for series, of in usual_of(reading, ["flag"]).items()}
    assert usual == {"a": Usual(115, 4), "b": Usual(None, 1), "c": Usual(6, 2), "d": Usual(2, 3)}


@pytest.mark.parametrize(
    ("quantity", "from_min", "to_min", "usual"),
    [
        ("menus", 0, 60, 1200),
        ("menus", 0, 10, 200),
        ("menus", -30, 30, 900),  # half of 600 and half of 1200
        ("menus", -5, 10, 250),  # a twelfth of 600 and a sixth of 1200
        ("avg_time", 0, 10, 1200),
        ("avg_time", -5, 10, 1000),  # a third of the window in one hour, two thirds in the next
    ],
)
def test_usual_over_a_window_is_made_of_its_hours(quantity: str, from_min: int, to_min: int, usual: float) -> None:
    """600 in the hour before T0 and 1200 in the one after: counts add up by time, others are averaged by time."""
    comparison = parse_condition(f"{quantity}[10m] drop > 30%").comparisons[0]
    hours = {T0_MS - HOUR_MS: Usual(600, 4), T0_MS: Usual(1200, 3)}
    over = usual_over(comparison, hours, T0_MS + from_min * 60_000, T0_MS + to_min * 60_000)
    assert over.value == pytest.approx(usual)
    assert over.weeks == 3


def test_nothing_is_usual_over_a_window_with_an_unknown_hour() -> None:
    """One week of history in one of its hours is too little for all of it."""
    comparison = parse_condition("menus[1h] drop > 30%").comparisons[0]
    hours = {T0_MS - HOUR_MS: Usual(None, 1), T0_MS: Usual(1200, 4)}
    assert usual_over(comparison, hours, T0_MS - 60_000, T0_MS + 60_000) == Usual(None, 1)
