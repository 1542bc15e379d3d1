from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.engine.schedule import BusinessHours, next_time_of_day

PARIS = ZoneInfo("Europe/Paris")
HOURS = BusinessHours(PARIS, frozenset(range(5)), time(9), time(18))
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp() * 1000)


def open_minutes(start_ms: int, end_ms: int) -> int:
    """Counted one by one, by what clocks in Paris show."""
    shown = [datetime.fromtimestamp(at / 1000, PARIS) for at in range(start_ms, end_ms, MINUTE_MS)]
    return sum(moment.weekday() < 5 and 9 <= moment.hour < 18 for moment in shown)


#: Minutes of March 2026; clocks change on the 29th.
march = st.integers(0, 31 * 24 * 60).map(lambda minute: ms("2026-03-01T00:00") + minute * MINUTE_MS)


@given(march, st.integers(0, 3 * 24 * 60))
@settings(max_examples=25, deadline=None)
def test_business_time_is_what_clocks_show(start_ms: int, minutes: int) -> None:
    """The same as counting the minutes, also over the change of clocks."""
    end_ms = start_ms + minutes * MINUTE_MS
    assert HOURS.between(start_ms, end_ms) == open_minutes(start_ms, end_ms) * MINUTE_MS


@given(march, st.integers(1, 30 * 60 * MINUTE_MS))
@settings(max_examples=50, deadline=None)
def test_what_is_after_some_business_time_has_that_much_before_it(start_ms: int, amount_ms: int) -> None:
    """To the millisecond, and it is the first such instant."""
    due_ms = HOURS.after(start_ms, amount_ms)
    assert HOURS.between(start_ms, due_ms) == amount_ms
    assert HOURS.between(start_ms, due_ms - 1) == amount_ms - 1


def test_no_business_time_later_is_now_or_the_next_opening() -> None:
    """A step that was overdue when it was held up comes with the next business hour."""
    assert HOURS.after(ms("2026-11-24T12:00"), 0) == ms("2026-11-24T12:00")
    assert HOURS.after(ms("2026-11-28T12:00"), 0) == ms("2026-11-30T09:00")


def test_nothing_is_between_an_instant_and_an_earlier_one() -> None:
    """Clocks of machines differ a little."""
    assert HOURS.between(ms("2026-11-24T12:00"), ms("2026-11-24T11:00")) == 0


def test_the_next_time_of_the_day_is_later_than_now() -> None:
    """Today's if it is still to come, also when the day has 23 or 25 hours."""
    for text, expected in (
        ("2026-11-24T08:59:59.999", "2026-11-24T09:00"),
        ("2026-11-24T09:00", "2026-11-25T09:00"),
        ("2026-03-28T09:00", "2026-03-29T09:00"),
        ("2026-10-24T09:00", "2026-10-25T09:00"),
    ):
        assert next_time_of_day(time(9), PARIS, ms(text)) == ms(expected)
    assert ms("2026-03-29T09:00") - ms("2026-03-28T09:00") == timedelta(hours=23) // timedelta(milliseconds=1)
