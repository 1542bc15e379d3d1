"""What a program writes where it has no user id. Counted as a user it would be the most active one there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

#: Lower case, without blanks around; PostHog refuses the same words, and "0", which somebody numbered from 0 has.
NO_USER_IDS: Final = frozenset(
    {
        "",
        "00000000-0000-0000-0000-000000000000",
        "[object object]",
        "anonymous",
        "anonymous-user",
        "backend",
        "distinct_id",
        "distinctid",
        "email",
        "false",
        "guest",
        "id",
        "nan",
        "none",
        "not_authenticated",
        "null",
        "system",
        "true",
        "undefined",
        "user",
    }
)


def is_no_user_id(user_id: str) -> bool:
    """Whether it names nobody, in any letter case and with any blanks around it."""
    return user_id.strip().lower() in NO_USER_IDS


def is_any_nobody(events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any of many events has such a `user_id`; without a call for each, which would cost as much again."""
    for event in events:
        user_id = event.get("user_id")
        if user_id and user_id.strip().lower() in NO_USER_IDS:
            return True
    return False
