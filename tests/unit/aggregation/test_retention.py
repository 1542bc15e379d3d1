from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import orjson
import pytest

from pipeline.aggregation.partition import Folded
from pipeline.aggregation.retention import part_of_day
from schemas.event_types import EVENT_TYPES
from schemas.timestamps import to_ms
from tests.unit.aggregation.test_partition import USER, Record, fold, fresh, view

MIDNIGHT = datetime(2025, 11, 24, tzinfo=UTC)
PROPERTIES = {
    "menu_generated": {"recipe_count": 1, "restrictions": [], "generation_time_ms": 1, "outcome": "failed"},
    "recipe_view": {"recipe_id": "r"},
    "recipe_save": {"recipe_id": "r"},
    "recipe_share": {"recipe_id": "r"},
    "satisfaction_rating": {"rating": 5},
    "nps_response": {"score": 0},
    "user_signed_up": {},
    "feature_exposure": {"flag": "f", "variant": "v"},
    "web_vital": {"name": "LCP", "value": 1.0, "rating": "good", "page": "/"},
    "payment": {"outcome": "succeeded"},
}
#: The contract: menu_generated, recipe_*, satisfaction_rating, nps_response.
ACTIVE = {"menu_generated", "recipe_view", "recipe_save", "recipe_share", "satisfaction_rating", "nps_response"}


def days(folded: Folded) -> set[tuple[str, datetime]]:
    return {(user, datetime.fromtimestamp(since_ms / 1000, UTC)) for user, since_ms in folded.user_days}


@pytest.mark.parametrize("event_type", PROPERTIES)
def test_what_an_active_user_does(event_type: str) -> None:
    """Events of the contract's types with a user make a day of that user; others, and those without one, do not."""
    known = view(1, event_type=event_type, properties=PROPERTIES[event_type])
    folded = fold(fresh(), Record(0, known))
    assert len(folded.counted) == 1
    assert days(folded) == ({(USER, MIDNIGHT)} if event_type in ACTIVE else set())
    nameless = {key: value for key, value in orjson.loads(known).items() if key != "user_id"}
    anonymous = fold(fresh(), Record(0, orjson.dumps(nameless | {"session_id": USER})))
    assert len(anonymous.counted) == 1
    assert anonymous.user_days == set()


def test_every_recipe_event_counts() -> None:
    """A type that begins with recipe_ and is added later must be looked at here."""
    assert {name for name in EVENT_TYPES if name.startswith("recipe_")} <= ACTIVE


def test_late_events_and_many_of_a_day_are_one_day() -> None:
    """A day old, a repeat, or the hundredth of a day: the set has each user and part of a day once."""
    times = ["2025-11-24T16:00:00.000Z", "2025-11-24T00:00:00.000Z", "2025-11-24T21:59:59.999Z", "2025-11-23T05:00:00.000Z"]
    records = [Record(i, view(i, at)) for i, at in enumerate([*times, times[0]])]
    folded = fold(fresh(), *records, Record(9, view(0, times[0])))
    assert folded.repeats == 1
    assert days(folded) == {(USER, MIDNIGHT), (USER, MIDNIGHT - timedelta(days=1))}


def test_a_part_lies_within_one_day_in_paris() -> None:
    """From 1990 to 2040 the begin of a part has the date of its first and last instant, in UTC and in Paris."""
    paris = ZoneInfo("Europe/Paris")
    day = datetime(1990, 1, 1, tzinfo=UTC)
    bounds = [timedelta(hours=hour, milliseconds=ms) for hour, ms in ((0, 0), (22, -1), (22, 0), (23, -1), (23, 0), (24, -1))]
    while day.year < 2040:
        for instant in (day + bound for bound in bounds):
            begin = datetime.fromtimestamp(part_of_day(to_ms(instant)) / 1000, UTC)
            assert begin <= instant
            assert begin.date() == instant.date()
            assert begin.astimezone(paris).date() == instant.astimezone(paris).date()
        day += timedelta(days=1)
