"""Events as services send them."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.timestamps import isoformat_of

Event = dict[str, Any]

DAY_MS = 86_400_000
FLAG, DISPLAY = "new-planner", "kitchen-display"
SENT_BY_DISPLAY = "recipe_view"
#: Users who came ten days ago for the first time; those who were seen a week later, and those who are found to have been seen.
NEWCOMERS = [f"newcomer-{number}" for number in range(120)]
STAYED, RETURNING = NEWCOMERS[:30], NEWCOMERS[30:90]
_COHORT_DAYS_AGO = 10


def event(at_ms: int, event_type: str, service: str, user_id: str | None = None, /, **properties: Any) -> Event:
    """Of one of a thousand sessions, or of a user."""
    who = {"session_id": f"s-{random.randrange(1_000)}"} if user_id is None else {"user_id": user_id}
    return {
        "event_id": str(uuid.uuid4()),
        "event_type": event_type,
        "schema_version": 1,
        "occurred_at": isoformat_of(at_ms),
        "source": {"service": service, "environment": "test"},
        **who,
        "properties": properties,
    }


def menu(at_ms: int, outcome: str = "full", duration_ms: float = 500.0) -> Event:
    return event(
        at_ms,
        "menu_generated",
        "menu-api",
        recipe_count=3,
        restrictions=[],
        generation_time_ms=duration_ms,
        outcome=outcome,
        provider="ollama",
    )


def exposure(at_ms: int) -> Event:
    return event(at_ms, "feature_exposure", "web", flag=FLAG, variant="on")


def shown_recipe(at_ms: int) -> Event:
    """What the kitchen display sends all day."""
    return event(at_ms, SENT_BY_DISPLAY, DISPLAY, recipe_id="r-1")


def past(now_ms: int) -> list[Event]:
    """What happened before `now_ms`: the last two weeks at this time, the display's last hour, and users who came and did not stay."""
    weeks = [round((hour - timedelta(weeks=week)).timestamp() * 1000) for hour in hours_ahead(now_ms) for week in (1, 2)]
    events = [exposure(from_ms + s * 1000) for from_ms in weeks for s in range(0, 3_600, 4)]
    events += [menu(from_ms + s * 1000) for from_ms in weeks for s in range(0, 3_600, 60)]
    events += [shown_recipe(now_ms - s * 1000) for s in range(3_660, 0, -5)]
    return events + first_days(now_ms)


def first_days(now_ms: int) -> list[Event]:
    """Everybody's first day, and those who came back on the seventh after it."""
    noon_ms = (now_ms // DAY_MS - _COHORT_DAYS_AGO) * DAY_MS + DAY_MS // 2
    events = [event(noon_ms, "recipe_view", "app", user, recipe_id="r-1") for user in NEWCOMERS]
    return events + seventh_day(now_ms, STAYED)


def seventh_day(now_ms: int, users: list[str]) -> list[Event]:
    noon_ms = (now_ms // DAY_MS - _COHORT_DAYS_AGO + 7) * DAY_MS + DAY_MS // 2
    return [event(noon_ms, "recipe_view", "app", user, recipe_id="r-1") for user in users]


def hours_ahead(now_ms: int) -> set[datetime]:
    """The hours, by the clock on the wall in Paris, that the next twelve minutes lie in."""
    began = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo("Europe/Paris"))
    return {moment.replace(minute=0, second=0, microsecond=0) for moment in (began, began + timedelta(minutes=12))}
