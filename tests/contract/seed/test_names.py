"""Where everything that the customer's document names has gone: each event, property and metric, and none is left out."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

import orjson
import pytest
from typing_extensions import get_type_hints

from pipeline.aggregation.catalogue import feeds
from schemas.event import EVENT_TYPES, decode
from schemas.metrics import METRICS
from tests.contract.seed.captures import CAPTURES, envelope

#: Name of an event → the type it is stored as.
EVENTS = {
    "menu_generated": "menu_generated",
    "menu_generation_success": "provider_attempt",
    "menu_ready": "menu_ready",
    "nutrition_accuracy": "nutrition_accuracy",
    "recipe_view": "recipe_view",
    "recipe_save": "recipe_save",
    "recipe_share": "recipe_share",
    "recipe_viewed": "recipe_view",
    "web_vital": "web_vital",
    "onboarding_abandoned": "onboarding_abandoned",
    "feature_exposure": "feature_exposure",
    "feature_performance": "feature_performance",
    # Hotjar.trigger('error_encountered')
    "error_encountered": "ux_signal.kind",
}

#: Event and property → where it is stored: a property of ours, a field of the envelope, or as it came (extra).
PROPERTIES = {
    "menu_generation_success": {"provider": "provider", "user_id": "envelope user_id", "generation_time": "extra timestamp"},
    "menu_ready": {"menuId": "menu_id"},
    "menu_generated": {
        "userId": "envelope user_id",
        "recipeCount": "recipe_count",
        "restrictions": "restrictions",
        "generationTime": "generation_time_ms",
        "success": "outcome",
        "timestamp": "extra timestamp",
    },
    "nutrition_accuracy": {"menu_id": "menu_id", "accuracy_score": "accuracy_score", "timestamp": "extra timestamp"},
    **{
        f"recipe_{action}": {"recipeId": "recipe_id", "userId": "envelope user_id", "timeSpent": "time_spent_ms"}
        for action in ("view", "save", "share", "viewed")
    },
    "web_vital": {"metric_name": "name", "value": "value", "rating": "rating", "page": "page"},
    "onboarding_abandoned": {"step": "step", "time_spent": "time_spent_ms"},
    "feature_exposure": {
        "variant": "variant",
        "feature_flag": "flag",
        "session_id": "envelope session_id",
        "user_id": "envelope user_id",
    },
    "feature_performance": {
        "variant": "variant",
        "feature_flag": "flag",
        "session_id": "envelope session_id",
        "user_id": "envelope user_id",
        "duration": "duration_ms",
    },
}

#: Name of a metric → what it is made of: a metric of ours (`metric`), or properties of events (`type`, `type.property`).
METRIC_NAMES = {
    # dashboard
    "menus_generated_daily": "menu_generated",
    "recipes_viewed_daily": "recipe_view",
    "user_retention_7d": "menu_generated recipe_view recipe_save recipe_share satisfaction_rating nps_response",
    "avg_generation_time": "metric menu_generation",
    "menu_generation_duration": "menu_generated.generation_time_ms",
    "api_response_time_p95": "metric api_request",
    "api_performance": "api_request.duration_ms",
    "error_rate_percentage": "metric menu_generation",
    "conversion_signup_to_first_menu": "user_signed_up menu_generated",
    "customer_satisfaction_score": "metric nps_response",
    "monthly_active_users": "menu_generated recipe_view recipe_save recipe_share satisfaction_rating nps_response",
    # alert rules
    "error_rate": "metric menu_generation",
    "avg_time": "metric menu_generation",
    "satisfaction_score": "metric satisfaction_rating",
    "retention_7d": "menu_generated recipe_view recipe_save recipe_share satisfaction_rating nps_response",
    "cpu": "resource_usage.cpu_ratio",
    "memory": "resource_usage.memory_ratio",
    "disk": "resource_usage.disk_ratio",
    # objectives, and the table of the minimum
    "availability": "metric api_request",
    "requests_success": "api_request.status_code",
    "total_requests": "api_request",
    "menu_generation_latency": "metric menu_generation",
    "menu_generation_seconds": "menu_generated.generation_time_ms",
    "user_satisfaction": "metric satisfaction_rating",
    "satisfaction_rating": "satisfaction_rating.rating",
    "feature_adoption": "menu_generated",
    "users_using_feature": "menu_generated",
    "total_active_users": "menu_generated recipe_view recipe_save recipe_share satisfaction_rating nps_response",
    "menuGenerationHistogram": "metric menu_generation",
    # deployment script
    "avg_response_time": "metric api_request",
    # web vitals
    **dict.fromkeys(("CLS", "FID", "FCP", "LCP", "TTFB"), "metric web_vital"),
    # health page and circuit breaker
    **dict.fromkeys(("database", "ollama", "claude", "redis", "auth", "storage"), "metric health_check"),
    "circuit breaker state": "circuit_state_changed.to_state",
    # queue
    "attempts": "queue_job.attempt",
    # incidents
    "Menu generation down": "metric menu_generation",
    "Data loss detected": "accepted_count.count",
    "Security breach": "security_signal.kind",
    "Error rate": "metric menu_generation",
    "Performance degradation": "metric api_request",
    "Payment processing issues": "metric payment",
    "Feature usage drop": "metric feature_exposure",
    "External API rate limits": "metric external_api_call",
    "Minor UI bugs": "ux_signal.kind",
    "Non-critical feature requests": "feedback.kind",
    "vercel deploy, vercel rollback": "deployment.phase",
}


def properties_of(event_type: str) -> set[str]:
    """Names of our properties of an event type."""
    hint: Any = get_type_hints(EVENT_TYPES[event_type], include_extras=True)["properties"]
    return set(get_type_hints(get_args(hint)[0] if get_origin(hint) is Annotated else hint))


def test_every_event_is_sent_as_the_document_does_and_stored_as_said() -> None:
    """The literal calls are those of the list, and each is stored as the type it says."""
    assert {c.event_type: c.stored_as for c in CAPTURES} == {name: kind for name, kind in EVENTS.items() if "." not in kind}
    assert EVENTS["error_encountered"] == "ux_signal.kind"
    assert "kind" in properties_of("ux_signal")


def test_every_property_is_where_it_is_said_to_be() -> None:
    """Each property that a call sends is in the list, and its value is stored in the place that the list says."""
    for capture in CAPTURES:
        places = PROPERTIES[capture.event_type]
        assert set(capture.sent) <= set(places), capture.call
        for name, place in places.items():
            if name not in capture.sent:
                continue
            kind, _, field = place.rpartition(" ")
            assert (field in properties_of(capture.stored_as)) == (kind == ""), place
            stored = {"user_id": capture.user_id, "session_id": capture.session_id} if kind == "envelope" else capture.stored
            value = {True: "full", False: "failed"}[capture.sent[name]] if name == "success" else capture.sent[name]
            assert stored[field] == value, f"{capture.call}: {name}"


def test_no_property_of_the_list_is_never_sent() -> None:
    """What the list says of each event is borne out by one of its calls."""
    sent: dict[str, set[str]] = {}
    for capture in CAPTURES:
        sent.setdefault(capture.event_type, set()).update(capture.sent)
    assert sent == {name: set(properties) for name, properties in PROPERTIES.items()}


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_every_metric_has_a_source(name: str) -> None:
    """Each is made of a metric that an event feeds, or of event types and properties that there are."""
    kind, _, metric = METRIC_NAMES[name].partition(" ")
    if kind == "metric":
        assert metric in METRICS
        return
    for source in METRIC_NAMES[name].split():
        event_type, _, field = source.partition(".")
        assert event_type in EVENT_TYPES
        assert not field or field in properties_of(event_type)


def test_the_documents_own_calls_feed_what_it_makes_of_them() -> None:
    """Without one event of ours the panes hold menus, attempts, accuracy, recipes, web vitals and experiments."""
    result = decode([orjson.dumps(envelope(i, c.event_type, c.sent)) for i, c in enumerate(CAPTURES)])
    fed = {metric for event in result.events if event is not None for metric, _, _ in feeds(event)}
    assert fed == {
        *("menu_generation", "provider_attempt", "nutrition_accuracy", "recipe_interaction", "web_vital", "feature_exposure"),
        *("feature_performance", "events"),
    }
