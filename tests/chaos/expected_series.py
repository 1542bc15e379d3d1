"""Which series an event counts in, and as what: read off the contract, by hand, once more."""

from __future__ import annotations

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
}
#: Metrics in milliseconds: those `latency` is about.
DURATIONS: Final = frozenset({"menu_generation", "api_request"})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD_MS: Final = 600_000


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
    match event["event_type"]:
        case "menu_generated":
            own = labels(provider=properties.get("provider", ""), outcome=properties["outcome"])
            return [every, ("menu_generation", own, properties["generation_time_ms"])]
        case "api_request":
            status_class = f"{properties['status_code']}"[0] + "xx"
            own = labels(service=service, route=_template(properties["route"]), status_class=status_class)
            return [every, ("api_request", own, properties["duration_ms"])]
        case "web_vital":
            own = labels(name=properties["name"], page=_template(properties["page"]), rating=properties["rating"])
            return [every, ("web_vital", own, properties["value"])]
        case "recipe_view":
            return [every, ("recipe_interaction", labels(action="view"), None)]
        case "feature_exposure":
            return [every, ("feature_exposure", labels(flag=properties["flag"], variant=properties["variant"]), None)]
    raise ValueError(f"no rule for {event['event_type']}")


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
    for mark in "?#":
        path = path[: path.index(mark)] if mark in path else path
    return path
