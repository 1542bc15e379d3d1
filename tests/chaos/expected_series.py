"""Which series an event counts in, and as what: read off the contract, by hand, once more."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil, log2
from typing import Any, Final

Labels = tuple[tuple[str, str], ...]

PANE_MS: Final = 10_000
ZERO_BUCKET: Final = -32768
#: Metric → its error label and the values of it that are errors.
ERRORS: Final = {
    "menu_generation": ("outcome", {"failed"}),
    "api_request": ("status_class", {"5xx"}),
    "web_vital": ("rating", {"poor"}),
    "provider_attempt": ("outcome", {"error", "timeout", "breaker_open", "denied"}),
    "external_api_call": ("status_class", {"5xx"}),
    "payment": ("outcome", {"failed"}),
    "health_check": ("status", {"fail"}),
    "queue_job": ("outcome", {"exhausted"}),
}
#: Metric → the only values of its error label that are in the total.
TOTALS: Final = {"queue_job": {"exhausted", "completed"}}
#: Metrics in milliseconds: those `latency` is about.
DURATIONS: Final = frozenset(
    {
        *("menu_generation", "api_request", "provider_attempt", "external_api_call"),
        *("feature_performance", "health_check", "queue_job"),
    }
)
#: Name of a web vital → the last good value, the last that is not poor.
THRESHOLDS: Final = {
    "LCP": (2500, 4000),
    "INP": (200, 500),
    "CLS": (0.1, 0.25),
    "FCP": (1800, 3000),
    "TTFB": (800, 1800),
    "FID": (100, 300),
}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD_MS: Final = 600_000
_ID: Final = re.compile(r"\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def instant_ms(text: str) -> int:
    """ISO 8601 to whole ms since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def counted_at_ms(sent_ms: int, received_ms: int | None) -> int:
    """When an event counts: at its own time, or the broker's where its own is more than 10 min ahead."""
    return received_ms if received_ms is not None and sent_ms - received_ms > _AHEAD_MS else sent_ms


def labels(**values: str) -> Labels:
    return tuple(sorted(values.items()))


def series_of(event: dict[str, Any]) -> list[tuple[str, Labels, float | None]]:
    """(metric, labels, value) of everything an event counts in; None: it is only counted."""
    properties, service = event["properties"], event["source"]["service"]
    every = ("events", labels(event_type=event["event_type"], service=service), None)
    return [every, *_own_series(event["event_type"], properties, service)]


def _own_series(event_type: str, properties: dict[str, Any], service: str) -> list[tuple[str, Labels, float | None]]:  # noqa: PLR0911  # a table
    match event_type:
        case "menu_generated":
            own = labels(provider=properties.get("provider", ""), outcome=properties["outcome"])
            return [("menu_generation", own, properties["generation_time_ms"])]
        case "api_request":
            own = labels(service=service, route=_template(properties["route"]), status_class=_status_class(properties))
            return [("api_request", own, properties["duration_ms"])]
        case "external_api_call":
            return [(event_type, labels(api=properties["api"], status_class=_status_class(properties)), properties["duration_ms"])]
        case "web_vital":
            own = labels(name=properties["name"], page=_template(properties["page"]), rating=_rating(properties))
            return [("web_vital", own, properties["value"])]
        case "recipe_view" | "recipe_save" | "recipe_share":
            return [("recipe_interaction", labels(action=event_type.removeprefix("recipe_")), None)]
        case "resource_usage":
            host, resources = properties["host"], ("cpu", "memory", "disk")
            return [(event_type, labels(host=host, resource=one), properties[f"{one}_ratio"]) for one in resources]
        case "nutrition_accuracy":
            return [(event_type, labels(provider=properties.get("provider", "")), properties["accuracy_score"])]
    if event_type in _PLAIN:
        names, value = _PLAIN[event_type]
        return [(event_type, labels(**{name: properties[name] for name in names}), properties.get(value))]
    if event_type in _WITHOUT_METRIC:
        return []
    raise ValueError(f"no rule for {event_type}")


#: Metrics that are named after their event: properties that are labels, and the one that is the value.
_PLAIN: Final = {
    "feature_exposure": (("flag", "variant"), ""),
    "feature_performance": (("flag", "variant"), "duration_ms"),
    "provider_attempt": (("provider", "outcome"), "latency_ms"),
    "queue_job": (("queue", "outcome"), "duration_ms"),
    "payment": (("outcome",), ""),
    "health_check": (("check", "status"), "latency_ms"),
    "satisfaction_rating": ((), "rating"),
    "nps_response": ((), "score"),
}
_WITHOUT_METRIC: Final = frozenset(
    {
        *("menu_ready", "user_signed_up", "onboarding_abandoned", "ux_signal", "db_sample"),
        *("circuit_state_changed", "deployment", "security_signal", "feedback", "accepted_count"),
    }
)


def _status_class(properties: dict[str, Any]) -> str:
    return f"{properties['status_code']}"[0] + "xx"


def _rating(properties: dict[str, Any]) -> str:
    good, not_poor = THRESHOLDS[properties["name"]]
    value = properties["value"]
    return "good" if value <= good else "needs-improvement" if value <= not_poor else "poor"


@lru_cache(maxsize=200_000)
def bucket_of(value: float) -> int:
    """The bucket i with b^i < value <= b^(i+1), b = 2^(1/32): that is 2^i < value^32 <= 2^(i+1), decided in whole numbers."""
    if value <= 0:
        return ZERO_BUCKET
    power = Fraction(value) ** 32
    bucket = ceil(32 * log2(value)) - 1  # right, or one off where the logarithm was rounded
    while power <= _two_to(bucket):
        bucket -= 1
    while power > _two_to(bucket + 1):
        bucket += 1
    return bucket


@lru_cache(maxsize=200_000)
def millionths(value: float) -> int:
    """Exact for what has at most six decimals, as all that is sent here has."""
    exact = Decimal(repr(value)) * 1_000_000
    if exact != exact.to_integral_value():
        raise ValueError(f"{value} has more than six decimals")
    return int(exact)


def _two_to(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _template(path: str) -> str:
    """As the paths that are sent here have it: numbers and UUIDs are ids."""
    for mark in "?#":
        path = path[: path.index(mark)] if mark in path else path
    return "/".join(":id" if _ID.fullmatch(segment) else segment for segment in path.split("/"))
