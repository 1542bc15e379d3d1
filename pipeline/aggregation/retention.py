"""Who was active when: a set of (user, part of a day) that is only ever united, so repeats, replays and late events change nothing.

A UTC day has three parts, which begin at 00:00, 22:00 and 23:00. Days in Paris begin at 22:00 or 23:00 UTC, so a part lies within one
day there too, and SQL derives both kinds of day from its begin; no worker needs to know when clocks change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DAY_MS: Final = 86_400_000
#: Begins of the parts of a day after its first, in ms since its start.
LATER_PARTS_MS: Final = (79_200_000, 82_800_000)

#: What a user does who is active: these events, when they have a user_id.
ACTIVE_TYPES: Final = frozenset({"menu_generated", "recipe_view", "recipe_save", "recipe_share", "satisfaction_rating", "nps_response"})

#: (user_id, ms since 1970): the user was active in the part of a day that begins then.
UserDay = tuple[str, int]


def user_day(event: Mapping[str, Any], occurred_ms: int) -> UserDay | None:
    """The fact an event of `ACTIVE_TYPES` states; None when it has no user."""
    user_id = event.get("user_id")
    return (user_id, part_of_day(occurred_ms)) if user_id else None


def part_of_day(instant_ms: int) -> int:
    """Begin of the part of its UTC day that an instant lies in, all in ms since 1970."""
    into_day_ms = instant_ms % DAY_MS
    if into_day_ms < LATER_PARTS_MS[0]:
        return instant_ms - into_day_ms
    return instant_ms - into_day_ms + (LATER_PARTS_MS[0] if into_day_ms < LATER_PARTS_MS[1] else LATER_PARTS_MS[1])


def part_end(since_ms: int) -> int:
    """Begin of the part that follows the one which begins at `since_ms`."""
    day_ms = since_ms - since_ms % DAY_MS
    return min(day_ms + into_day_ms for into_day_ms in (*LATER_PARTS_MS, DAY_MS) if day_ms + into_day_ms > since_ms)
