"""Every event that the customer's document sends, letter for letter, with numbers in place of its variables, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: What the document's Date.now() gives: ms since 1970.
NOW: Final = 1_795_514_400_123


@dataclass(frozen=True, slots=True)
class Capture:
    """A call: the name and the payload it sends, and the type, properties and ids they are stored with.

    `columns` are those of the typed view that have a value; the view's others for its properties are NULL.
    """

    call: str
    event_type: str
    sent: dict[str, Any]
    stored_as: str
    stored: dict[str, Any]
    columns: dict[str, Any] = field(default_factory=dict)
    user_id: str = ""
    session_id: str = ""


def _recipe(action: str, time_spent: int | None) -> Capture:
    sent = {"recipeId": "r-9", "userId": "u-42"} | ({"timeSpent": time_spent} if time_spent is not None else {})
    stored = {"recipe_id": "r-9"} | ({"time_spent_ms": time_spent} if time_spent is not None else {})
    return Capture(
        f"posthog.capture(`recipe_${{action}}`, params) with {action}",
        f"recipe_{action}",
        sent,
        {"viewed": "recipe_view"}.get(action, f"recipe_{action}"),
        stored,
        stored,
        user_id="u-42",
    )


def _web_vital(name: str, value: float, sent_rating: str, rating: str) -> Capture:
    """`rating` is that of the value by the published thresholds, `sent_rating` what the browser says."""
    rest = {"value": value, "rating": sent_rating, "page": "/menus"}
    stored = {"name": name, **rest}
    sent = {"metric_name": name, **rest}
    return Capture(f"get{name}(sendToAnalytics) of {value}", "web_vital", sent, "web_vital", stored, stored | {"rating": rating})


def _menu(success: bool, outcome: str) -> Capture:
    sent = {"userId": "u-42", "recipeCount": 5, "restrictions": ["vegan"], "generationTime": 1240.5, "success": success, "timestamp": NOW}
    columns = {"recipe_count": 5, "restrictions": ["vegan"], "generation_time_ms": 1240.5, "outcome": outcome}
    stored = columns | {"timestamp": NOW}
    return Capture(f"trackMenuGeneration, success: {success}", "menu_generated", sent, "menu_generated", stored, columns, user_id="u-42")


_FLAG: Final = {"variant": "B", "feature_flag": "new-planner", "session_id": "s-7", "user_id": "u-42"}
_WHO: Final = {"user_id": "u-42", "session_id": "s-7"}

CAPTURES: Final = (
    Capture(
        "analytics.track('menu_generation_success')",
        "menu_generation_success",
        {"provider": "ollama", "user_id": "u-42", "generation_time": NOW},
        "provider_attempt",
        {"provider": "ollama", "outcome": "success", "timestamp": NOW},
        {"provider": "ollama", "outcome": "success"},
        user_id="u-42",
    ),
    Capture(
        "notificationService.send, type: 'menu_ready'",
        "menu_ready",
        {"menuId": "m-1"},
        "menu_ready",
        {"menu_id": "m-1"},
        {"menu_id": "m-1"},
    ),
    _menu(True, "full"),
    _menu(False, "failed"),
    Capture(
        "trackNutritionalAccuracy",
        "nutrition_accuracy",
        {"menu_id": "m-1", "accuracy_score": 0.93, "timestamp": NOW},
        "nutrition_accuracy",
        {"menu_id": "m-1", "accuracy_score": 0.93, "timestamp": NOW},
        {"menu_id": "m-1", "accuracy_score": 0.93},
    ),
    _recipe("view", 4200),
    _recipe("view", None),
    _recipe("save", 4200),
    _recipe("share", 4200),
    _recipe("viewed", 4200),
    _web_vital("CLS", 0.3, "poor", "poor"),
    _web_vital("FID", 100.5, "good", "needs-improvement"),
    _web_vital("FCP", 1800, "good", "good"),
    _web_vital("LCP", 4000.5, "needs-improvement", "poor"),
    _web_vital("TTFB", 0, "poor", "good"),
    Capture(
        "posthog.capture('onboarding_abandoned')",
        "onboarding_abandoned",
        {"step": 3, "time_spent": 45_000},
        "onboarding_abandoned",
        {"step": 3, "time_spent_ms": 45_000},
        {"step": 3, "time_spent_ms": 45_000},
    ),
    Capture(
        "posthog.capture('feature_exposure')",
        "feature_exposure",
        _FLAG,
        "feature_exposure",
        {"flag": "new-planner", "variant": "B"},
        {"flag": "new-planner", "variant": "B"},
        **_WHO,
    ),
    Capture(
        "posthog.capture('feature_performance')",
        "feature_performance",
        _FLAG | {"duration": 182.25},
        "feature_performance",
        {"flag": "new-planner", "variant": "B", "duration_ms": 182.25},
        {"flag": "new-planner", "variant": "B", "duration_ms": 182.25},
        **_WHO,
    ),
)


def envelope(number: int, event_type: str, properties: dict[str, Any]) -> dict[str, Any]:
    """An event as a thin client of the document's code sends it: who it was is in the properties, if anywhere."""
    return {
        "event_id": f"01980f3c-7d2a-7c3e-8f00-{number:012d}",
        "event_type": event_type,
        "schema_version": 1,
        "occurred_at": "2026-11-23T10:00:00.123Z",
        "source": {"service": "web", "environment": "production"},
        "properties": properties,
    }
