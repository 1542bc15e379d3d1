"""What the fold makes of wrong clocks, of bots, and of events that break a schema which is not enforced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas import modes
from tests.unit.aggregation.test_partition import NOW, Record, counts, fold, fresh, view

HOUR_MS = 3_600_000


def iso(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


def clocked(number: int, ahead_ms: int, before_ms: int = 0, **fields: Any) -> bytes:
    """A view that happened `before_ms` before it was sent, 20 ms before NOW, by a clock that is so far ahead."""
    sent_ms = NOW - 20 + ahead_ms
    return view(number, occurred=iso(sent_ms - before_ms), sent_at=iso(sent_ms), **fields)


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 30 * HOUR_MS, -2 * HOUR_MS, -400 * HOUR_MS])
def test_a_wrong_clock_is_put_right(ahead_ms: int) -> None:
    """The event counts when it happened, as far off as it was on its way; what was sent is kept beside it, with the difference."""
    state = fresh()
    (counted,) = fold(state, Record(0, clocked(1, ahead_ms, before_ms=5_000))).counted
    assert counted.occurred_ms == NOW - 5_000
    assert counted.sent_ms == NOW - 20 + ahead_ms - 5_000
    assert counted.clock_skew_ms == 20 - ahead_ms
    assert state.watermark_ms == NOW - 5_000


def test_what_waited_long_on_a_device_with_a_good_clock_stays_where_it_was() -> None:
    """An event of three days ago, sent now, is three days old."""
    (counted,) = fold(fresh(), Record(0, clocked(1, 0, before_ms=72 * HOUR_MS))).counted
    assert (counted.occurred_ms, counted.clock_skew_ms) == (NOW - 20 - 72 * HOUR_MS, 0)


def test_an_event_later_than_its_sending_is_still_clamped() -> None:
    """Put right by its clock, it would be an hour ahead of the broker: it counts at the broker's time."""
    (counted,) = fold(fresh(), Record(0, clocked(1, 2 * HOUR_MS, before_ms=-HOUR_MS))).counted
    assert (counted.occurred_ms, counted.clock_skew_ms) == (NOW, 20 - 2 * HOUR_MS)


def test_a_retry_with_another_sent_at_is_a_repeat() -> None:
    """`sent_at` is not what the event says, so the first copy counts, and no copy is a conflict."""
    copies = [view(1, sent_at=iso(NOW + ahead)) for ahead in (0, 9 * HOUR_MS, 60_000)]
    folded = fold(fresh(), *(Record(i, copy, NOW + i) for i, copy in enumerate([*copies, view(1)])))
    assert ([c.offset for c in folded.counted], folded.repeats, folded.bad) == ([0], 3, {})


def test_a_bot_is_counted_as_an_event_and_nowhere_else() -> None:
    """No metric about people, no active user, no exposure; it is stored like any other."""
    state = fresh()
    exposure: dict[str, Any] = {"event_type": "feature_exposure", "properties": {"flag": "f", "variant": "B"}}
    bots = [view(1, bot_reasons=["crawler"]), view(2, bot_reasons=["headless"], **exposure)]
    folded = fold(state, *(Record(i, bot) for i, bot in enumerate(bots)))
    assert [c.offset for c in folded.counted] == [0, 1]
    assert counts(state) == {("events", "recipe_view", "web"): 1, ("events", "feature_exposure", "web"): 1}
    assert (folded.exposures, folded.user_days) == ({}, set())


def test_what_a_service_says_of_itself_counts_whoever_asked() -> None:
    """A request answered for a bot took as long as for anybody else."""
    state = fresh()
    request = {"method": "GET", "route": "/menus", "status_code": 200, "duration_ms": 12}
    fold(state, Record(0, view(1, event_type="api_request", properties=request, bot_reasons=["crawler"])))
    assert counts(state) == {("api_request", "web", "/menus", "2xx"): 1, ("events", "api_request", "web"): 1}


def test_an_empty_list_of_reasons_is_nobody_special() -> None:
    """As when there is none."""
    state = fresh()
    folded = fold(state, Record(0, view(1, bot_reasons=[])))
    assert ("recipe_interaction", "view") in counts(state)
    assert folded.user_days


@pytest.mark.parametrize("mode", ["observe", "warn"])
def test_an_event_that_breaks_its_schema_is_stored_and_moves_nothing(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pane, not even `events`, no fact, no watermark; its repeat is one, and its id is used."""
    monkeypatch.setattr(modes, "MODES", {"recipe_view": mode})
    state = fresh()
    broken = view(1, properties={"recipe_id": 7})
    folded = fold(state, Record(0, broken), Record(1, broken), Record(2, view(1)))
    assert ([c.offset for c in folded.counted], folded.repeats) == ([0], 1)
    assert {i: bad.code for i, bad in folded.bad.items()} == {2: "event_id_conflict"}
    assert (counts(state), state.watermark_ms, folded.user_days, folded.stale) == ({}, 0, set(), {})
    assert state.position == 3
