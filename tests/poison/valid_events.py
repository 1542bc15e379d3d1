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
WAITS: Final = st.floats(0, 86_400_000)
RATIOS: Final = st.floats(0, 1) | st.sampled_from([0, 1])

#: Names that mean something in properties, by the contract and by the seed; what is made up must not be one of them.
_MEANINGS: Final = """
    recipe_count restrictions generation_time_ms outcome provider menu_id error_type position latency_ms queue job_id attempt wait_ms
    duration_ms recipe_id time_spent_ms accuracy_score rating score method step name value page metric_id delta navigation_type device
    kind replay_id flag variant route status_code api amount_cents reason host cpu_ratio memory_ratio disk_ratio metric check status
    detail from_state to_state phase release previous_release source minute count positions
    recipeCount generationTime menuId recipeId timeSpent time_spent feature_flag metric_name success duration generation_time
    user_id userId session_id sessionId
"""
_MEANT: Final = frozenset(_MEANINGS.split())


def json_values(text: Strings) -> st.SearchStrategy[Any]:
    """Any JSON, integers within 64 bits."""
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | text
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6)


def _properties(name: Strings) -> dict[str, Documents]:
    return _of_menus(name) | _of_people(name) | _of_browsers(name) | _of_services(name) | _of_operations(name)


def _of_menus(name: Strings) -> dict[str, Documents]:
    maybe, maybe_ms = st.none() | name, st.none() | DURATIONS
    attempts = st.sampled_from(["success", "error", "timeout", "breaker_open", "denied"])
    jobs = st.sampled_from(["started", "retried", "completed", "exhausted"])
    states = st.sampled_from(["closed", "open", "half_open"])
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
        "menu_ready": st.fixed_dictionaries({"menu_id": name}),
        "nutrition_accuracy": st.fixed_dictionaries({"menu_id": name, "accuracy_score": RATIOS}, optional={"provider": maybe}),
        "provider_attempt": st.fixed_dictionaries(
            {"provider": name, "outcome": attempts},
            optional={"position": st.none() | st.integers(0, 100), "latency_ms": maybe_ms, "error_type": maybe},
        ),
        "queue_job": st.fixed_dictionaries(
            {"queue": name, "job_id": name, "attempt": st.integers(0, 1_000), "outcome": jobs},
            optional={"wait_ms": st.none() | WAITS, "duration_ms": maybe_ms},
        ),
        "circuit_state_changed": st.fixed_dictionaries({"provider": name, "from_state": states, "to_state": states}),
    }


def _of_people(name: Strings) -> dict[str, Documents]:
    maybe = st.none() | name
    recipe = st.fixed_dictionaries({"recipe_id": name}, optional={"time_spent_ms": st.none() | st.floats(0, 10_800_000)})
    amounts = st.none() | st.integers(0, 1_000_000_000)
    return {
        "recipe_view": recipe,
        "recipe_save": recipe,
        "recipe_share": recipe,
        "satisfaction_rating": st.fixed_dictionaries({"rating": st.integers(1, 5)}, optional={"menu_id": maybe}),
        "nps_response": st.fixed_dictionaries({"score": st.integers(0, 10)}),
        "user_signed_up": st.fixed_dictionaries({}, optional={"method": maybe}),
        "onboarding_abandoned": st.fixed_dictionaries({"step": st.integers(0, 1_000), "time_spent_ms": WAITS}),
        "payment": st.fixed_dictionaries(
            {"outcome": st.sampled_from(["succeeded", "failed"])}, optional={"amount_cents": amounts, "reason": maybe}
        ),
        "feedback": st.fixed_dictionaries({"kind": name}, optional={"detail": maybe}),
    }


def _of_browsers(name: Strings) -> dict[str, Documents]:
    maybe = st.none() | name
    ratings = st.sampled_from(["good", "needs-improvement", "poor"])
    more = {"metric_id": maybe, "delta": st.none() | FLOATS, "navigation_type": maybe, "device": maybe}
    times, kinds = st.sampled_from(["LCP", "INP", "FCP", "TTFB", "FID"]), st.sampled_from(["error_encountered", "rage_click", "dead_click"])
    return {
        "web_vital": st.fixed_dictionaries({"name": times, "value": DURATIONS, "rating": ratings, "page": name}, optional=more)
        | st.fixed_dictionaries({"name": st.just("CLS"), "value": st.floats(0, 100), "rating": ratings, "page": name}, optional=more),
        "ux_signal": st.fixed_dictionaries({"kind": kinds, "page": name}, optional={"replay_id": maybe}),
        "feature_exposure": st.fixed_dictionaries({"flag": name, "variant": name}),
        "feature_performance": st.fixed_dictionaries({"flag": name, "variant": name, "duration_ms": DURATIONS}),
    }


def _of_services(name: Strings) -> dict[str, Documents]:
    codes = st.integers(100, 599)
    return {
        "api_request": st.fixed_dictionaries({"method": name, "route": name, "status_code": codes, "duration_ms": DURATIONS}),
        "external_api_call": st.fixed_dictionaries({"api": name, "status_code": codes, "duration_ms": DURATIONS}),
        "health_check": st.fixed_dictionaries(
            {"check": name, "status": st.sampled_from(["pass", "fail"]), "latency_ms": DURATIONS}, optional={"detail": st.none() | name}
        ),
    }


def _of_operations(name: Strings) -> dict[str, Documents]:
    minutes = st.integers(_ms(datetime(1990, 1, 1, tzinfo=UTC)) // 60_000, _ms(datetime(2100, 1, 1, tzinfo=UTC)) // 60_000 - 1)
    signals = st.fixed_dictionaries({"kind": name}, optional={"detail": st.none() | name})
    phases = st.sampled_from(["started", "finished", "rolled_back"])
    return {
        "resource_usage": st.fixed_dictionaries({"host": name, "cpu_ratio": RATIOS, "memory_ratio": RATIOS, "disk_ratio": RATIOS}),
        "db_sample": st.fixed_dictionaries({"metric": name, "value": FLOATS}),
        "deployment": st.fixed_dictionaries({"phase": phases, "release": name}, optional={"previous_release": st.none() | name}),
        "security_signal": signals,
        "accepted_count": st.fixed_dictionaries(
            {"source": name, "minute": minutes.map(lambda minute: _iso(minute * 60_000)), "count": st.integers(0, 1_000_000_000)},
            optional={"positions": st.none() | st.lists(st.integers(0, 2**40), max_size=12)},
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
    envelopes, extras = _envelopes(name), st.dictionaries(name.filter(lambda key: key not in _MEANT), json_values(name), max_size=2)
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
