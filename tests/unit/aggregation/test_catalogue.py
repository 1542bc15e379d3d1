from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.aggregation.catalogue import feeds
from schemas.event import EVENT_TYPES, decode
from schemas.metrics import METRICS

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
#: What the example `whole.json` of each event type is counted in beside `events`, by the contract's table of metrics.
OWN: dict[str, list[tuple[str, tuple[str, ...], float | None]]] = {
    "menu_generated": [("menu_generation", ("ollama", "full"), 1240.5)],
    "menu_ready": [],
    "provider_attempt": [("provider_attempt", ("ollama", "timeout"), 30_000.5)],
    "queue_job": [("queue_job", ("menu generation", "exhausted"), 812.5)],
    "recipe_view": [("recipe_interaction", ("view",), None)],
    "recipe_save": [("recipe_interaction", ("save",), None)],
    "recipe_share": [("recipe_interaction", ("share",), None)],
    "nutrition_accuracy": [("nutrition_accuracy", ("claude",), 0.93)],
    "satisfaction_rating": [("satisfaction_rating", (), 4)],
    "nps_response": [("nps_response", (), 9)],
    "user_signed_up": [],
    "onboarding_abandoned": [],
    "web_vital": [("web_vital", ("LCP", "/recipes/:id", "good"), 2100.5)],
    "ux_signal": [],
    "feature_exposure": [("feature_exposure", ("new-planner", "B"), None)],
    "feature_performance": [("feature_performance", ("new-planner", "B"), 182.25)],
    "api_request": [("api_request", ("menu-api", "/api/menus/:id", "2xx"), 35.25)],
    "external_api_call": [("external_api_call", ("nutrition-database", "4xx"), 95.5)],
    "payment": [("payment", ("failed",), None)],
    "resource_usage": [("resource_usage", ("web-1", r), v) for r, v in (("cpu", 0.42), ("memory", 0.71), ("disk", 0.55))],
    "db_sample": [],
    "health_check": [("health_check", ("database", "fail"), 5_000)],
    "circuit_state_changed": [],
    "deployment": [],
    "security_signal": [],
    "feedback": [],
    "accepted_count": [],
}


def example(event_type: str, file: str = "whole", /, **properties: Any) -> dict[str, Any]:
    (event,) = decode([(EXAMPLES / event_type / "valid" / f"{file}.json").read_bytes()]).events
    assert event is not None
    return {**event, "properties": {**event["properties"], **properties}}


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_event_type_feeds_what_the_contract_says(event_type: str) -> None:
    """Its own metric, if it has one, with labels in the metric's order, and `events`, once."""
    event = example(event_type)
    assert list(feeds(event)) == [*OWN[event_type], ("events", (event_type, event["source"]["service"]), None)]


def test_every_metric_is_fed() -> None:
    """With as many labels as it has, and with a value exactly when it has a unit."""
    fed = [series for event_type in EVENT_TYPES for series in feeds(example(event_type))]
    assert {metric for metric, _, _ in fed} == METRICS.keys()
    assert all(len(labels) == len(METRICS[metric].labels) for metric, labels, _ in fed)
    assert all((value is not None) == bool(METRICS[metric].unit) for metric, _, value in fed)


@pytest.mark.parametrize("event_type", ["menu_generated", "nutrition_accuracy"])
def test_an_absent_label_is_empty(event_type: str) -> None:
    """Whether the property is missing or null."""
    (metric, labels, _), _ = feeds(example(event_type, "without-what-is-optional", provider=None))
    assert dict(zip(METRICS[metric].labels, labels, strict=True))["provider"] == ""


@pytest.mark.parametrize(("event_type", "field"), [("provider_attempt", "latency_ms"), ("queue_job", "duration_ms")])
def test_a_value_that_is_absent_is_counted_only(event_type: str, field: str) -> None:
    """Whether the property is missing or null."""
    absent = feeds(example(event_type, "without-what-is-optional"))[0]
    assert absent[2] is None
    assert feeds(example(event_type, **{field: None}))[0][2] is None


@pytest.mark.parametrize(
    ("name", "good", "poor"),
    [("LCP", 2500, 4000), ("INP", 200, 500), ("CLS", 0.1, 0.25), ("FCP", 1800, 3000), ("TTFB", 800, 1800), ("FID", 100, 300)],
)
@pytest.mark.parametrize("claimed", ["good", "poor"])
def test_a_web_vital_is_rated_by_its_value(name: str, good: float, poor: float, claimed: str) -> None:
    """At a threshold it is still the better one, beyond it the worse; whatever the sender said."""
    values = (0, good, good * 1.001, poor, poor * 1.001)
    ratings = [feeds(example("web_vital", name=name, value=value, rating=claimed))[0][1][2] for value in values]
    assert ratings == ["good", "good", "needs-improvement", "needs-improvement", "poor"]


def test_an_event_of_an_unknown_type_is_not_counted_by_halves() -> None:
    """What a newer version has stored is in metrics that this one does not know: a repair must not write what it is not sure of."""
    with pytest.raises(KeyError):
        feeds({"event_type": "invented_later", "source": {"service": "web"}, "properties": {}})
