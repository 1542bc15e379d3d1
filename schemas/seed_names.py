"""The customer's first spellings, and ours: camelCase fields and older event names are accepted and stored under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_EVENT_NAMES: Final = {"recipe_viewed": "recipe_view", "menu_generation_success": "provider_attempt"}
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
#: Names that mean this in one event only, by the name it was sent under. `generation_time` is Date.now(): when, not how long.
_PROPERTY_NAMES_OF_ONE: Final = {
    "menu_generation_success": {"generation_time": "timestamp"},
    "feature_performance": {"duration": "duration_ms"},
}
#: Who it was is a matter of the envelope: only there ids are pseudonymised and erased.
_IDS: Final = {"user_id": "user_id", "userId": "user_id", "session_id": "session_id", "sessionId": "session_id"}
#: Properties that are stored under another name or elsewhere. Those of one event are none of them: an event that lacks ours is invalid.
RENAMED_PROPERTIES: Final = frozenset({*_PROPERTY_NAMES, *_IDS})
_OUTCOME_OF_SUCCESS: Final = {True: "full", False: "failed"}
_CIRCUIT_STATES: Final = {"CLOSED": "closed", "OPEN": "open", "HALF_OPEN": "half_open"}


def canonicalise(document: dict[str, Any]) -> dict[str, Any]:
    """The document under our names; the same object when nothing was to rename. A name of ours that is present wins.

    Ids among the properties become the envelope's where it has none, and are not kept beside them.
    """
    properties = document.get("properties")
    changed = _renamed(document, _ENVELOPE_FIELDS)
    sent_as = document.get("event_type")
    if isinstance(sent_as, str) and sent_as in _EVENT_NAMES:
        changed = {**changed, "event_type": _EVENT_NAMES[sent_as]}
    if isinstance(properties, dict):
        canonical = _canonical_properties(sent_as, _renamed(properties, _PROPERTY_NAMES))
        if not _IDS.keys().isdisjoint(canonical):
            changed = _with_ids_of(canonical, changed)
            canonical = {key: value for key, value in canonical.items() if key not in _IDS}
        if canonical is not properties:
            changed = {**changed, "properties": canonical}
    return changed


def _canonical_properties(sent_as: Any, properties: dict[str, Any]) -> dict[str, Any]:
    """What one event alone has to be told apart by; `properties` itself when that is nothing."""
    if isinstance(sent_as, str) and sent_as in _PROPERTY_NAMES_OF_ONE:
        names = _PROPERTY_NAMES_OF_ONE[sent_as]
        properties = _renamed(properties, {key: name for key, name in names.items() if name not in properties})
    if sent_as == "menu_generated":
        success = properties.get("success")
        if isinstance(success, bool) and "outcome" not in properties:
            return {key: value for key, value in properties.items() if key != "success"} | {"outcome": _OUTCOME_OF_SUCCESS[success]}
    if sent_as == "menu_generation_success":
        return {"outcome": "success", **properties}
    if sent_as == "circuit_state_changed":
        return _with_states(properties)
    return properties


def _with_states(properties: dict[str, Any]) -> dict[str, Any]:
    """The seed writes states in capitals."""
    states = {key: properties.get(key) for key in ("from_state", "to_state")}
    ours = {key: _CIRCUIT_STATES[state] for key, state in states.items() if isinstance(state, str) and state in _CIRCUIT_STATES}
    return {**properties, **ours} if ours else properties


def _with_ids_of(properties: Mapping[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The document with the ids that it lacks and its properties have."""
    ids: dict[str, Any] = {}
    for key, name in _IDS.items():
        if properties.get(key) is not None and document.get(name) is None:
            ids.setdefault(name, properties[key])
    return {**document, **ids}


def _renamed(fields: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    if not any(key in names for key in fields):
        return fields
    return {names.get(key, key): value for key, value in fields.items() if names.get(key, key) == key or names[key] not in fields}
