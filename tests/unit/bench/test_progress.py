from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.growth import curve, rows
from tests.bench.progress import Sample, start_within_hour, stretch

HOUR_MS = 3_600_000
#: 100,000 events a second at 10 us each up to a million, then 50,000 a second at 20 us.
SAMPLES = [
    Sample(0.0, 0, 5.0, 80.0),
    Sample(4.0, 400_000, 9.0, 200.0),
    Sample(10.0, 1_000_000, 15.0, 300.0),
    Sample(11.0, 1_000_000, 15.0, 310.0),
    Sample(31.0, 2_000_000, 35.0, 290.0),
]


def test_a_stretch_costs_what_was_spent_between_its_marks() -> None:
    """What was spent before the first mark is not in it."""
    part = stretch(SAMPLES, 400_000, 1_000_000)
    assert [part.events_per_s, part.cpu_us_per_event] == pytest.approx([100_000, 10])


def test_a_mark_between_two_samples_lies_on_their_line() -> None:
    """A quarter of the way is a quarter of the time and of the CPU."""
    part = stretch(SAMPLES, 100_000, 700_000)
    assert [part.events_per_s, part.cpu_us_per_event] == pytest.approx([100_000, 10])


def test_waiting_counts_in_the_rate_of_the_stretch_that_follows() -> None:
    """The second without progress after the first million slows the second."""
    part = stretch(SAMPLES, 1_000_000, 2_000_000)
    assert [part.events_per_s, part.cpu_us_per_event] == pytest.approx([1_000_000 / 21, 20])


def test_memory_is_the_most_there_ever_was() -> None:
    """Memory that was given back before the end was needed nevertheless."""
    assert stretch(SAMPLES, 1_000_000, 2_000_000).rss_mb == 310


def test_marks_that_were_not_reached_are_refused() -> None:
    """No figure is made up for what was not measured."""
    with pytest.raises(ValueError, match="no sample at 3,000,000"):
        stretch(SAMPLES, 0, 3_000_000)


def test_growth_compares_each_stretch_with_the_first() -> None:
    """Twice the cost is 2.0, at the marks of 10, 30 and 100 %."""
    found = [(row["events"], row["cpu_us_per_event"], row["of_first_stretch"]) for row in rows(SAMPLES, 2_000_000)]
    assert found == [(200_000, 10.0, 1.0), (600_000, 10.0, 1.0), (2_000_000, pytest.approx(17.14), pytest.approx(1.714))]


def test_the_curve_ends_with_the_last_event() -> None:
    """Twenty points at equal distances, the jump between the tenth and the eleventh."""
    points = curve(SAMPLES, 2_000_000)
    assert [point["events"] for point in points] == [100_000 * number for number in range(1, 21)]
    assert [point["cpu_us_per_event"] for point in points] == [10.0] * 10 + [20.0] * 10


@given(st.integers(1_700_000_000_000, 1_800_000_000_000), st.integers(1, HOUR_MS))
def test_a_span_lies_in_one_hour_and_is_over(now_ms: int, span_ms: int) -> None:
    """As late as that is possible."""
    start_ms = start_within_hour(now_ms, span_ms)
    end_ms = start_ms + span_ms
    assert end_ms <= now_ms
    assert start_ms // HOUR_MS == (end_ms - 1) // HOUR_MS
    if end_ms != now_ms:  # then the hour that has ended last is the latest, for this one is too young
        assert end_ms == now_ms // HOUR_MS * HOUR_MS
        assert span_ms > now_ms - end_ms


def test_a_span_longer_than_an_hour_ends_now() -> None:
    """There is no hour for it."""
    assert start_within_hour(5 * HOUR_MS, 2 * HOUR_MS) == 3 * HOUR_MS
