from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.aggregation.clock_skew import clock_skew_ms

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NOW_MS = 1_795_428_000_000
HOUR_MS = 3_600_000


def skew(ahead: timedelta, occurred_ms: int = NOW_MS, headers: list[tuple[str, bytes]] | None = None) -> int:
    """Of a sender whose clock is so far ahead, received at NOW."""
    return clock_skew_ms(NOW + ahead, occurred_ms, NOW_MS, headers or [])


@pytest.mark.parametrize(
    ("ahead", "added_ms"),
    [
        (timedelta(hours=2), -2 * HOUR_MS),
        (timedelta(hours=30), -30 * HOUR_MS),
        (timedelta(days=-3), 72 * HOUR_MS),
        (timedelta(milliseconds=60_001), -60_001),
        (timedelta(milliseconds=-60_001), 60_001),
        (timedelta(seconds=60), 0),
        (timedelta(seconds=-60), 0),
        (timedelta(seconds=-20), 0),
        (timedelta(0), 0),
    ],
)
def test_a_clock_is_believed_for_a_minute_each_way(ahead: timedelta, added_ms: int) -> None:
    """What a request may take on its way moves nothing; a wrong clock moves the event back by all of it."""
    assert skew(ahead) == added_ms


def test_the_first_stamp_of_a_forwarded_record_decides() -> None:
    """A record that was forwarded a day later was sent by a good clock all the same, and by a wrong one as wrong as it was."""
    first_received = [("first_received_at", str(NOW_MS - 24 * HOUR_MS).encode())]
    assert skew(timedelta(hours=-24), headers=first_received) == 0
    assert skew(timedelta(hours=-22), headers=first_received) == -2 * HOUR_MS


@pytest.mark.parametrize("value", [b"", b"-5", b"1e9", b"\xff", b"9" * 40])
def test_a_header_that_is_no_time_is_not_there(value: bytes) -> None:
    """Anybody may write headers."""
    assert skew(timedelta(hours=2), headers=[("first_received_at", value)]) == -2 * HOUR_MS


def test_a_time_before_1990_is_not_made() -> None:
    """Where the difference would lead out of what can be stored, what was sent stays."""
    in_1990_ms = 631_152_000_000
    assert skew(timedelta(hours=2), occurred_ms=in_1990_ms) == 0
    assert skew(timedelta(hours=2), occurred_ms=in_1990_ms + 2 * HOUR_MS) == -2 * HOUR_MS
