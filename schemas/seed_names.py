"""The customer's first spellings, and ours: camelCase fields and older event names are accepted and stored under one name."""

from __future__ import annotations

from typing import Any, Final

_EVENT_NAMES: Final = {"recipe_viewed": "recipe_view"}
_ENVELOPE_FIELDS: Final = {"eventId": "event_id", "userId": "user_id", "sessionId": "session_id", "occurredAt": "occurred_at"}
_PROPERTY_NAMES: Final = {
    "recipeCount": "recipe_count",
    "generationTime": "generation_time_ms",
    "menuId": "menu_id",
    "recipeId": "recipe_id",
    "timeSpent": "time_spent_ms",
    "time_spent": "time_spent_ms",
    "feature_flag": "flag",
    "metric_name": "name",
}
#: Property names that are stored under another one.
RENAMED_PROPERTIES: Final = frozenset(_PROPERTY_NAMES)
_OUTCOME_OF_SUCCESS: Final = {True: "full", False: "failed"}


def canonicalise(document: dict[str, Any]) -> dict[str, Any]:
    """The document under our names; the same object when nothing was to rename. A name of ours that is present wins."""
    properties = document.get("properties")
    changed = _renamed(document, _ENVELOPE_FIELDS)
    name = document.get("event_type")
    if isinstance(name, str) and name in _EVENT_NAMES:
        changed = {**changed, "event_type": _EVENT_NAMES[name]}
    if isinstance(properties, dict):
        canonical = _canonical_properties(changed.get("event_type"), properties)
        if canonical is not properties:
            changed = {**changed, "properties": canonical}
    return changed


def _canonical_properties(event_type: Any, properties: dict[str, Any]) -> dict[str, Any]:
    renamed = _renamed(properties, _PROPERTY_NAMES)
    success = renamed.get("success")
    if event_type == "menu_generated" and isinstance(success, bool) and "outcome" not in renamed:
        renamed = {key: value for key, value in renamed.items() if key != "success"} | {"outcome": _OUTCOME_OF_SUCCESS[success]}
    return renamed


def _renamed(fields: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    if not any(key in names for key in fields):
        return fields
    return {names.get(key, key): value for key, value in fields.items() if names.get(key, key) == key or names[key] not in fields}
