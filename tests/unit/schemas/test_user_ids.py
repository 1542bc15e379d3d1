from __future__ import annotations

import orjson
import pytest

from schemas.event import decode

#: PostHog's list (wire formats, 2.2) but "0", which somebody numbered from 0 has.
WORDS = [
    *["00000000-0000-0000-0000-000000000000", "[object object]", "anonymous", "anonymous-user", "backend", "distinct_id"],
    *["distinctid", "email", "false", "guest", "id", "nan", "none", "not_authenticated", "null", "system", "true", "undefined", "user"],
]


def view(user_id: str | None, number: int = 1, spelling: str = "user_id") -> bytes:
    return orjson.dumps(
        {
            "event_id": f"00000000-0000-7000-8000-{number:012d}",
            "event_type": "recipe_view",
            "schema_version": 1,
            "occurred_at": "2026-11-23T10:00:00.123Z",
            "source": {"service": "web", "environment": "test"},
            spelling: user_id,
            "properties": {"recipe_id": "undefined"},
        }
    )


@pytest.mark.parametrize("user_id", [*WORDS, "Undefined", "NULL", "[object Object]", " None\n", "NaN", " ", "\u00a0"])
@pytest.mark.parametrize("spelling", ["user_id", "userId"])
def test_a_word_for_nobody_is_refused_with_its_field(user_id: str, spelling: str) -> None:
    """In any case and spelling of the field, alone and among others, which are read all the same."""
    decoded = decode([view("u-1"), view(user_id, 2, spelling), view("u-2", 3)])
    assert list(decoded.bad) == [1]
    assert decoded.bad[1].code == "malformed_user_id"
    assert [error.field for error in decoded.bad[1].errors] == ["user_id"]
    assert "leave user_id out" in decoded.bad[1].reason


@pytest.mark.parametrize("user_id", ["0", "00", "10", "user-1", "userid", "nobody", "null-island", "undefined2", None])
def test_other_ids_are_taken(user_id: str | None) -> None:
    """Ids that only resemble one of the words, and none at all."""
    assert decode([view(user_id)]).bad == {}
