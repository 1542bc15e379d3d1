"""What a web vital is worth: the thresholds of web.dev, which say how a value is rated, and how much of it is believed."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pydantic_core import PydanticCustomError


class Thresholds(NamedTuple):
    """Up to `good` a value is good, beyond `needs_improvement` it is poor."""

    good: float
    needs_improvement: float


#: By name; in ms, for CLS a score. FID is what INP has replaced.
THRESHOLDS: Final[dict[str, Thresholds]] = {
    "LCP": Thresholds(2_500, 4_000),
    "INP": Thresholds(200, 500),
    "CLS": Thresholds(0.1, 0.25),
    "FCP": Thresholds(1_800, 3_000),
    "TTFB": Thresholds(800, 1_800),
    "FID": Thresholds(100, 300),
}
#: A page that jumps without end has a score of a few. Who sends 250 has sent thousandths.
MAX_CLS: Final = 100


def rating_of(name: str, value: float) -> str:
    """good, needs-improvement or poor, whatever the sender called it."""
    good, needs_improvement = THRESHOLDS[name]
    return "good" if value <= good else "needs-improvement" if value <= needs_improvement else "poor"


def check_score(properties: Any) -> Any:
    """Refuse a layout shift that can be none; the bound of the other vitals, a duration, stands in the schema.

    Raises:
        PydanticCustomError: with the field in its context.
    """
    if properties["name"] == "CLS" and properties["value"] > MAX_CLS:
        raise PydanticCustomError(
            "implausible_score", "CLS is a score: input should be less than or equal to {le}", {"le": MAX_CLS, "field": "value"}
        )
    return properties
