"""Hypothesis strategies for events that are valid by the contract: plain ones, which a chunk reads in one call, and wild ones."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import strategies as st

from schemas.user_ids import is_no_user_id

Strings = st.SearchStrategy[str]
Documents = st.SearchStrategy[dict[str, Any]]

PLAIN_NAME: Final = st.text(string.ascii_letters + string.digits + "-_/", min_size=1, max_size=8)
#: Any text an event may hold: no surrogates, no control characters but tab and line ends.
WILD_NAME: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r"), min_size=1, max_size=12)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)
DURATIONS: Final = st.floats(0, 3_600_000) | st.integers(0, 3_600_000)

#: Names that mean something in properties, by the contract and by the seed; what is made up must not be one of them.
_MEANINGS: Final = frozenset(
    [
        *[
            "recipe_count",
            "restrictions",
            "generation_time_ms",
            "outcome",
            "provider",
            "menu_id",
            "error_type",
            "recipe_id",
            "time_spent_ms",
        ],
        *["flag", "variant", "method", "route", "status_code", "duration_ms", "name", "value", "rating", "page", "metric_id", "delta"],
        *["navigation_type", "device", "recipeCount", "generationTime", "menuId", "recipeId", "timeSpent", "time_spent", "feature_flag"],
        *["metric_name", "success"],
    ]
)


def json_values(text: Strings) -> st.SearchStrategy[Any]:
    """Any JSON, integers within 64 bits."""
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | text
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6)


def _properties(name: Strings) -> dict[str, Documents]:
    maybe = st.none() | name
    return {
        "menu_generated": st.fixed_dictionaries(
            {
                "recipe_count": st.integers(0, 10_000),
                "restrictions": st.lists(name, max_size=3),
                "generation_time_ms": DURATIONS,
                "outcome": st.sampled_from(["full", "degraded", "failed"]),
            },
            optional={"provider": maybe, "menu_id": maybe, "error_type": maybe},
        ),
        "recipe_view": st.fixed_dictionaries({"recipe_id": name}, optional={"time_spent_ms": st.none() | DURATIONS}),
        "web_vital": st.fixed_dictionaries(
            {
                "name": st.sampled_from(["LCP", "INP", "CLS", "FCP", "TTFB", "FID"]),
                "value": DURATIONS,
                "rating": st.sampled_from(["good", "needs-improvement", "poor"]),
                "page": name,
            },
            optional={"metric_id": maybe, "delta": st.none() | FLOATS, "navigation_type": maybe, "device": maybe},
        ),
        "feature_exposure": st.fixed_dictionaries({"flag": name, "variant": name}),
        "api_request": st.fixed_dictionaries(
            {"method": name, "route": name, "status_code": st.integers(100, 599), "duration_ms": DURATIONS}
        ),
    }


def _envelopes(name: Strings) -> Documents:
    instants = st.integers(_ms(datetime(1990, 1, 1, tzinfo=UTC)), _ms(datetime(2101, 1, 1, tzinfo=UTC)) - 1)
    trace = st.fixed_dictionaries({"trace_id": st.just("4bf92f3577b34da6a3ce929d0e0e4736")}, optional={"span_id": st.none()})
    return st.fixed_dictionaries(
        {
            "event_id": st.uuids().map(str),
            "schema_version": st.just(1),
            "occurred_at": instants.map(_iso),
            "source": st.fixed_dictionaries({"service": name, "environment": name}, optional={"version": st.none() | name}),
        },
        optional={
            "user_id": st.none() | name.filter(lambda text: not is_no_user_id(text)),
            "session_id": st.none() | name,
            "trace": st.none() | trace,
            "flags": st.none() | st.dictionaries(name, name, max_size=3),
            "sent_at": st.none() | instants.map(_iso),
            "bot_reasons": st.none() | st.lists(name, max_size=8),
            "newer_field": json_values(name),
        },
    )


def events(name: Strings) -> Documents:
    """Documents, each a valid event of any type, its texts from `name`."""
    envelopes, extras = _envelopes(name), st.dictionaries(name.filter(lambda key: key not in _MEANINGS), json_values(name), max_size=2)
    of_each_type = [
        st.builds(_document, st.just(event_type), envelopes, properties, extras) for event_type, properties in _properties(name).items()
    ]
    return st.one_of(of_each_type)


def _document(event_type: str, envelope: dict[str, Any], properties: dict[str, Any], extras: dict[str, Any]) -> dict[str, Any]:
    return {**envelope, "event_type": event_type, "properties": {**extras, **properties}}


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def _iso(ms: int) -> str:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


PLAIN_EVENTS: Final = events(PLAIN_NAME)
EVENTS: Final = PLAIN_EVENTS | events(WILD_NAME)
PLAIN: Final = PLAIN_EVENTS.map(lambda event: json.dumps(event).encode())
#: Values as some publisher would write them: escaped or not, with spaces or without.
VALID: Final = PLAIN | st.builds(
    lambda event, ascii_only, indent: json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode(),
    EVENTS,
    st.booleans(),
    st.sampled_from([None, 0, 2]),
)
