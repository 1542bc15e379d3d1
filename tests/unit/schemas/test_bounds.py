"""Values that can be none are refused, and the sender is told the bound; the bound itself is still taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import orjson
import pytest
from typing_extensions import get_type_hints

from schemas.envelope import DurationMs
from schemas.event import EVENT_TYPES, FieldError, decode
from schemas.units import AttentionMs, Ratio, WaitMs

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
HOUR, THREE_HOURS, DAY = 3_600_000, 10_800_000, 86_400_000
BOUNDS = [
    ("menu_generated", {"generation_time_ms": HOUR}, 12_000_000),
    ("menu_generated", {"recipe_count": 10_000}, 10_001),
    ("provider_attempt", {"latency_ms": HOUR}, 12_000_000),
    ("provider_attempt", {"position": 100}, 101),
    ("queue_job", {"wait_ms": DAY}, DAY + 1),
    ("queue_job", {"duration_ms": HOUR}, 12_000_000),
    ("queue_job", {"attempt": 1_000}, 1_001),
    ("recipe_view", {"time_spent_ms": THREE_HOURS}, 4 * HOUR),
    ("recipe_save", {"time_spent_ms": THREE_HOURS}, 4 * HOUR),
    ("recipe_share", {"time_spent_ms": THREE_HOURS}, 4 * HOUR),
    ("nutrition_accuracy", {"accuracy_score": 1}, 1.0001),
    ("satisfaction_rating", {"rating": 5}, 6),
    ("nps_response", {"score": 10}, 11),
    ("onboarding_abandoned", {"time_spent_ms": DAY}, DAY + 1),
    ("onboarding_abandoned", {"step": 1_000}, 1_001),
    ("feature_performance", {"duration_ms": HOUR}, HOUR + 1),
    ("api_request", {"duration_ms": HOUR}, 12_000_000),
    ("api_request", {"status_code": 599}, 600),
    ("external_api_call", {"duration_ms": HOUR}, 12_000_000),
    ("external_api_call", {"status_code": 599}, 600),
    ("health_check", {"latency_ms": HOUR}, 12_000_000),
    ("payment", {"amount_cents": 1_000_000_000}, 1_000_000_001),
    ("resource_usage", {"cpu_ratio": 1}, 80),
    ("resource_usage", {"memory_ratio": 1}, 1.01),
    ("resource_usage", {"disk_ratio": 1}, 100),
    ("web_vital", {"value": HOUR}, 12_000_000),
    ("web_vital", {"name": "CLS", "value": 100}, 250),
    ("web_vital", {"name": "INP", "value": HOUR}, HOUR + 1),
]


def judged(event_type: str, properties: dict[str, Any]) -> tuple[FieldError, ...]:
    """What is wrong with an example whose properties are changed to these."""
    example = json.loads((EXAMPLES / event_type / "valid" / "whole.json").read_bytes())
    result = decode([orjson.dumps(example | {"properties": example["properties"] | properties})])
    return result.bad[0].errors if result.bad else ()


@pytest.mark.parametrize(("event_type", "at_most", "more"), BOUNDS)
def test_more_than_can_be_is_refused_with_the_bound(event_type: str, at_most: dict[str, Any], more: float) -> None:
    """The greatest value that is believed is taken; a greater one is one error, of that field, that says the greatest."""
    assert judged(event_type, at_most) == ()
    field, greatest = list(at_most.items())[-1]
    (error,) = judged(event_type, at_most | {field: more})
    assert error.field == f"properties.{field}"
    assert error.message.endswith(f"less than or equal to {greatest}")


@pytest.mark.parametrize(
    ("event_type", "field", "least"),
    [
        ("satisfaction_rating", "rating", 1),
        ("nps_response", "score", 0),
        ("nutrition_accuracy", "accuracy_score", 0),
        ("resource_usage", "cpu_ratio", 0),
        ("web_vital", "value", 0),
        ("queue_job", "wait_ms", 0),
        ("external_api_call", "status_code", 100),
    ],
)
def test_less_than_can_be_is_refused_with_the_bound(event_type: str, field: str, least: float) -> None:
    """The same at the other end."""
    assert judged(event_type, {field: least}) == ()
    (error,) = judged(event_type, {field: least - 1})
    assert (error.field, error.message) == (f"properties.{field}", f"Input should be greater than or equal to {least}")


def test_unknown_properties_are_taken_with_any_value() -> None:
    """Bounds are for what we know; a newer publisher's field may hold what it likes."""
    for event_type in EVENT_TYPES:
        assert judged(event_type, {"colour_of_the_button": 10**15, "newer": {"deep": [None, True]}}) == ()


def bounded_as(hint: Any) -> Any:
    """The first of our kinds of numbers in a hint, None when there is none."""
    if any(hint is of_time for of_time in (DurationMs, AttentionMs, WaitMs)):
        return "ms"
    if hint is Ratio:
        return "ratio"
    return next((kind for inner in get_args(hint) if (kind := bounded_as(inner)) is not None), None)


def test_names_and_kinds_of_numbers_go_together() -> None:
    """A property ends in _ms exactly when it is a time with a bound, and in _ratio when it is 0 to 1, which only a score may be besides."""
    scores = {"accuracy_score"}
    for event_type, event in EVENT_TYPES.items():
        properties = bare(get_type_hints(event, include_extras=True)["properties"])
        for name, hint in get_type_hints(properties, include_extras=True).items():
            kind = bounded_as(hint)
            assert name.endswith("_ms") == (kind == "ms"), f"{event_type}.{name}"
            assert (name.endswith("_ratio") or name in scores) == (kind == "ratio"), f"{event_type}.{name}"


def bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
