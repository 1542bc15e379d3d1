"""Which event feeds which series: the only place where an event becomes numbers.

Labels stand in the order of `schemas.metrics.METRICS`; a value of None is counted only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Labels = tuple[str, ...]
Fed = tuple[str, Labels, float | None]

_STATUS_CLASSES: Final = {hundred: f"{hundred}xx" for hundred in range(1, 6)}


def feeds(event: Mapping[str, Any]) -> tuple[Fed, Fed]:
    """The two series a valid event is folded into: its own metric's, and `events`, which counts them all."""
    event_type = event["event_type"]
    return _OWN[event_type](event["properties"], event), ("events", (event_type, event["source"]["service"]), None)


def path_template(path: str) -> str:
    """A path without query and fragment, so that a label does not carry what a visitor typed."""
    if "?" in path or "#" in path:
        path = path.split("?", 1)[0].split("#", 1)[0]
    return path or "/"


def _menu_generation(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Fed:
    return "menu_generation", (properties.get("provider") or "", properties["outcome"]), properties["generation_time_ms"]


def _api_request(properties: Mapping[str, Any], event: Mapping[str, Any]) -> Fed:
    labels = (event["source"]["service"], path_template(properties["route"]), _STATUS_CLASSES[properties["status_code"] // 100])
    return "api_request", labels, properties["duration_ms"]


def _web_vital(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Fed:
    return "web_vital", (properties["name"], path_template(properties["page"]), properties["rating"]), properties["value"]


def _recipe_view(_: Mapping[str, Any], __: Mapping[str, Any]) -> Fed:
    return "recipe_interaction", ("view",), None


def _feature_exposure(properties: Mapping[str, Any], _: Mapping[str, Any]) -> Fed:
    return "feature_exposure", (properties["flag"], properties["variant"]), None


_OWN: Final[dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Fed]]] = {
    "menu_generated": _menu_generation,
    "api_request": _api_request,
    "web_vital": _web_vital,
    "recipe_view": _recipe_view,
    "feature_exposure": _feature_exposure,
}
