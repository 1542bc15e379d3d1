from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.cli.instants import end_of, instant
from pipeline.runtime.errors import ConfigurationError

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("2026-11-23T18:30", datetime(2026, 11, 23, 18, 30, tzinfo=UTC)),
        ("2026-11-23 18:30Z", datetime(2026, 11, 23, 18, 30, tzinfo=UTC)),
        ("2026-11-23T18:30+01:00", datetime(2026, 11, 23, 17, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, expected: datetime) -> None:
    """As ISO 8601 writes it."""
    assert instant("--from", text) == expected


def test_an_end_is_named_in_one_of_two_ways() -> None:
    """So long from the beginning, or a time."""
    later = NOW + timedelta(hours=3)
    assert end_of(later, timedelta(hours=2), None, now=NOW) == NOW + timedelta(hours=5)
    assert end_of(NOW, None, "2026-11-23T12:00", now=NOW) == NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("begin", "duration", "until", "says"),
    [
        (NOW, None, None, "--for 1h"),
        (NOW, timedelta(hours=1), "2026-11-24", "--for 1h"),
        (NOW, None, "soon", "--until: 'soon' is not a time"),
        (NOW, None, "2026-11-23T10:00", "must be after"),
        (NOW + timedelta(days=2), None, "2026-11-24", "must be after"),
        (NOW - timedelta(days=2), timedelta(hours=1), None, "must be after"),
        (NOW, timedelta(hours=-1), None, "must be after"),
        (NOW, timedelta.max, None, "--for is too long"),
    ],
)
def test_an_end_that_is_none_is_refused(begin: datetime, duration: timedelta | None, until: str | None, says: str) -> None:
    """None, two, no time, or one that is over before it begins or already."""
    with pytest.raises(ConfigurationError, match=says):
        end_of(begin, duration, until, now=NOW)
