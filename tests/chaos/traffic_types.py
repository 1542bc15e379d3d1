"""Properties of every event type, from a seed, with labels few enough to keep their names and at most six decimals."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from tests.chaos.expected_series import THRESHOLDS

Properties = dict[str, Any]

_ROUTES: Final = ("/menus", "/menus?week=4", "/recipes/{id}", "/recipes/{id}#steps", "/login", "/users/4711/menus")
_PAGES: Final = ("/", "/planner", "/planner?tab=2", "/recipes/{id}", "/recipes/0190b8a0-7cc1-7d7a-9c3b-1f2e3d4c5b6a")
_VITALS: Final = {"LCP": 9_000.0, "INP": 600.0, "CLS": 0.6, "FCP": 4_000.0, "TTFB": 2_400.0, "FID": 400.0}
_RATINGS: Final = ("good", "needs-improvement", "poor")
_FLAGS: Final = ("new-planner", "dark-mode", "fast-checkout")
_CHECKS: Final = ("database", "ollama", "claude", "redis", "auth", "storage")


def _ms(rng: random.Random, mu: float, sigma: float = 1.0) -> float:
    return round(min(rng.lognormvariate(mu, sigma), 3_000_000.0), 2)


def _recipe(rng: random.Random) -> Properties:
    return {"recipe_id": f"r-{rng.randrange(50)}", "time_spent_ms": rng.randrange(1, 90_000)}


def _web_vital(rng: random.Random) -> Properties:
    """What the sender makes of the value is drawn apart from it: only the value may decide."""
    name = rng.choice(tuple(_VITALS))
    value = THRESHOLDS[name][0] if rng.random() < 0.02 else round(rng.uniform(0, _VITALS[name]), 4)
    return {"name": name, "value": value, "rating": rng.choice(_RATINGS), "page": rng.choice(_PAGES)}


def _variant(rng: random.Random) -> Properties:
    return {"flag": rng.choice(_FLAGS), "variant": rng.choice("AB")}


def _api_request(rng: random.Random) -> Properties:
    status = rng.choices((200, 204, 302, 404, 429, 500, 503), (70, 5, 5, 10, 4, 4, 2))[0]
    return {"method": "GET", "route": rng.choice(_ROUTES), "status_code": status, "duration_ms": _ms(rng, 3)}


def _external_api_call(rng: random.Random) -> Properties:
    status = rng.choices((200, 429, 500, 503), (90, 5, 3, 2))[0]
    return {"api": rng.choice(("openfoodfacts", "stripe")), "status_code": status, "duration_ms": _ms(rng, 5)}


def _provider_attempt(rng: random.Random) -> Properties:
    outcome = rng.choices(("success", "error", "timeout", "breaker_open", "denied"), (80, 8, 6, 4, 2))[0]
    latency = {} if rng.random() < 0.1 else {"latency_ms": _ms(rng, 6.5, 0.5)}
    return {"provider": rng.choice(("ollama", "claude", "templates")), "position": rng.randrange(3), "outcome": outcome, **latency}


def _queue_job(rng: random.Random) -> Properties:
    outcome = rng.choices(("started", "retried", "completed", "exhausted"), (45, 8, 44, 3))[0]
    duration = {} if outcome == "started" else {"duration_ms": _ms(rng, 6)}
    job = {"queue": "menu-generation", "job_id": f"j-{rng.randrange(10_000)}", "attempt": rng.randrange(1, 4)}
    return {**job, "outcome": outcome, "wait_ms": _ms(rng, 2), **duration}


def _nutrition_accuracy(rng: random.Random) -> Properties:
    provider = {"provider": rng.choice(("ollama", "claude"))} if rng.random() < 0.8 else {}
    return {"menu_id": f"m-{rng.randrange(500)}", "accuracy_score": round(rng.random(), 6), **provider}


def _payment(rng: random.Random) -> Properties:
    return {"outcome": rng.choices(("succeeded", "failed"), (97, 3))[0], "amount_cents": rng.randrange(10_000)}


def _health_check(rng: random.Random) -> Properties:
    return {"check": rng.choice(_CHECKS), "status": rng.choices(("pass", "fail"), (98, 2))[0], "latency_ms": _ms(rng, 2)}


def _resource_usage(rng: random.Random) -> Properties:
    ratios = {f"{resource}_ratio": round(rng.uniform(0.05, 0.75), 4) for resource in ("cpu", "memory", "disk")}
    return {"host": f"host-{rng.randrange(3)}", **ratios}


#: Event type → weight and properties. `menu_generated`, which the incident is about, is made elsewhere.
OTHER_TYPES: Final[dict[str, tuple[int, Callable[[random.Random], Properties]]]] = {
    "api_request": (16, _api_request),
    "web_vital": (14, _web_vital),
    "recipe_view": (10, _recipe),
    "recipe_save": (3, _recipe),
    "recipe_share": (2, _recipe),
    "feature_exposure": (8, _variant),
    "feature_performance": (4, lambda rng: {**_variant(rng), "duration_ms": _ms(rng, 4)}),
    "provider_attempt": (8, _provider_attempt),
    "queue_job": (6, _queue_job),
    "external_api_call": (3, _external_api_call),
    "nutrition_accuracy": (2, _nutrition_accuracy),
    "satisfaction_rating": (2, lambda rng: {"rating": rng.randrange(1, 6)}),
    "nps_response": (1, lambda rng: {"score": rng.randrange(11)}),
    "payment": (2, _payment),
    "health_check": (2, _health_check),
    "resource_usage": (2, _resource_usage),
    "menu_ready": (1, lambda rng: {"menu_id": f"m-{rng.randrange(500)}"}),
    "user_signed_up": (1, lambda rng: {"method": rng.choice(("email", "google"))}),
    "onboarding_abandoned": (1, lambda rng: {"step": rng.randrange(5), "time_spent_ms": _ms(rng, 9)}),
    "ux_signal": (1, lambda rng: {"kind": rng.choice(("error_encountered", "rage_click", "dead_click")), "page": rng.choice(_PAGES)}),
    "db_sample": (1, lambda rng: {"metric": "connections_active", "value": rng.randrange(100)}),
    "circuit_state_changed": (1, lambda rng: {"provider": "ollama", "from_state": "closed", "to_state": "open"}),
    "deployment": (1, lambda rng: {"phase": rng.choice(("started", "finished")), "release": f"1.{rng.randrange(9)}"}),
    "security_signal": (1, lambda rng: {"kind": "login_failed", "detail": f"try {rng.randrange(9)}"}),
    "feedback": (1, lambda rng: {"kind": "idea", "detail": "more soups"}),
}
