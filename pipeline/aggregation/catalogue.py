"""Which event feeds which series: the only place where an event becomes numbers.

Labels stand in the order of `schemas.metrics.METRICS`; a value of None is counted only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.aggregation.paths import path_template
from schemas.metrics import METRICS
from schemas.web_vitals import rating_of

Labels = tuple[str, ...]
Fed = tuple[str, Labels, float | None]
_Of = Mapping[str, Any]
#: Properties, event and the feed of `events` to all of an event's feeds.
_Own = Callable[[_Of, _Of, Fed], tuple[Fed, ...]]

_STATUS_CLASSES: Final = {hundred: f"{hundred}xx" for hundred in range(1, 6)}


def feeds(event: Mapping[str, Any]) -> tuple[Fed, ...]:
    """The series a valid event is folded into: those of its own metric, if it has one, and `events`, which counts them all.

    One with `bot_reasons` is in no metric about people.
    """
    event_type = event["event_type"]
    counted = ("events", (event_type, event["source"]["service"]), None)
    fed = _OWN[event_type](event["properties"], event, counted)
    return tuple(one for one in fed if METRICS[one[0]].counts_bots) if event.get("bot_reasons") else fed


def _counted_only(_: _Of, __: _Of, counted: Fed) -> tuple[Fed, ...]:
    return (counted,)


def _menu_generation(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    labels = (properties.get("provider") or "", properties["outcome"])
    return ("menu_generation", labels, properties["generation_time_ms"]), counted


def _provider_attempt(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("provider_attempt", (properties["provider"], properties["outcome"]), properties.get("latency_ms")), counted


def _queue_job(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("queue_job", (properties["queue"], properties["outcome"]), properties.get("duration_ms")), counted


def _api_request(properties: _Of, event: _Of, counted: Fed) -> tuple[Fed, ...]:
    labels = (event["source"]["service"], path_template(properties["route"]), _STATUS_CLASSES[properties["status_code"] // 100])
    return ("api_request", labels, properties["duration_ms"]), counted


def _external_api_call(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    labels = (properties["api"], _STATUS_CLASSES[properties["status_code"] // 100])
    return ("external_api_call", labels, properties["duration_ms"]), counted


def _health_check(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("health_check", (properties["check"], properties["status"]), properties["latency_ms"]), counted


def _web_vital(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    name, value = properties["name"], properties["value"]
    return ("web_vital", (name, path_template(properties["page"]), rating_of(name, value)), value), counted


def _feature_exposure(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("feature_exposure", (properties["flag"], properties["variant"]), None), counted


def _feature_performance(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("feature_performance", (properties["flag"], properties["variant"]), properties["duration_ms"]), counted


def _recipe_view(_: _Of, __: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("recipe_interaction", ("view",), None), counted


def _recipe_save(_: _Of, __: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("recipe_interaction", ("save",), None), counted


def _recipe_share(_: _Of, __: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("recipe_interaction", ("share",), None), counted


def _nutrition_accuracy(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("nutrition_accuracy", (properties.get("provider") or "",), properties["accuracy_score"]), counted


def _satisfaction_rating(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("satisfaction_rating", (), properties["rating"]), counted


def _nps_response(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("nps_response", (), properties["score"]), counted


def _payment(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    return ("payment", (properties["outcome"],), None), counted


def _resource_usage(properties: _Of, _: _Of, counted: Fed) -> tuple[Fed, ...]:
    host = properties["host"]
    return (
        ("resource_usage", (host, "cpu"), properties["cpu_ratio"]),
        ("resource_usage", (host, "memory"), properties["memory_ratio"]),
        ("resource_usage", (host, "disk"), properties["disk_ratio"]),
        counted,
    )


_OWN: Final[dict[str, _Own]] = {
    "menu_generated": _menu_generation,
    "provider_attempt": _provider_attempt,
    "queue_job": _queue_job,
    "api_request": _api_request,
    "external_api_call": _external_api_call,
    "health_check": _health_check,
    "web_vital": _web_vital,
    "feature_exposure": _feature_exposure,
    "feature_performance": _feature_performance,
    "recipe_view": _recipe_view,
    "recipe_save": _recipe_save,
    "recipe_share": _recipe_share,
    "nutrition_accuracy": _nutrition_accuracy,
    "satisfaction_rating": _satisfaction_rating,
    "nps_response": _nps_response,
    "payment": _payment,
    "resource_usage": _resource_usage,
    "menu_ready": _counted_only,
    "user_signed_up": _counted_only,
    "onboarding_abandoned": _counted_only,
    "ux_signal": _counted_only,
    "db_sample": _counted_only,
    "circuit_state_changed": _counted_only,
    "deployment": _counted_only,
    "security_signal": _counted_only,
    "feedback": _counted_only,
    "accepted_count": _counted_only,
}
