"""Hours of a working week and times of the day, in a time zone: when something due may be told. Instants are Unix milliseconds, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

#: Today, tomorrow, and a day to spare where clocks are changed.
_DAYS_LOOKED_AT: Final = 3


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Open from `opens` to `closes`, wall clock of `zone`, on `weekdays` (0 is Monday)."""

    zone: ZoneInfo
    weekdays: frozenset[int]
    opens: time
    closes: time

    def after(self, start_ms: int, amount_ms: int) -> int:
        """The instant at which `amount_ms` of business time have passed since `start_ms`; for 0 the first instant that is open."""
        left_ms = amount_ms
        for opens_ms, closes_ms in self._from(start_ms):
            begin_ms = max(opens_ms, start_ms)
            if begin_ms < closes_ms and left_ms <= closes_ms - begin_ms:
                return begin_ms + left_ms
            left_ms -= max(0, closes_ms - begin_ms)
        raise AssertionError("a week has business hours")

    def between(self, start_ms: int, end_ms: int) -> int:
        """Milliseconds of business time from `start_ms` to `end_ms`; 0 when the end comes first."""
        total_ms = 0
        for opens_ms, closes_ms in self._from(start_ms):
            if opens_ms >= end_ms:
                return total_ms
            total_ms += max(0, min(closes_ms, end_ms) - max(opens_ms, start_ms))
        raise AssertionError("a week has business hours")

    def _from(self, start_ms: int) -> Iterator[tuple[int, int]]:
        """(opens, closes) of every business day from the one `start_ms` lies in."""
        day = _local(start_ms, self.zone).date()
        while True:
            if day.weekday() in self.weekdays:
                yield _instant(day, self.opens, self.zone), _instant(day, self.closes, self.zone)
            day += timedelta(days=1)


def next_time_of_day(at: time, zone: ZoneInfo, now_ms: int) -> int:
    """The first instant after `now_ms` at which clocks in `zone` show `at`."""
    day = _local(now_ms, zone).date()
    for days in range(_DAYS_LOOKED_AT):
        instant_ms = _instant(day + timedelta(days=days), at, zone)
        if instant_ms > now_ms:
            return instant_ms
    raise AssertionError("every day has every time of the day")


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> int:
    return round(datetime.combine(day, at, zone).timestamp() * 1000)
