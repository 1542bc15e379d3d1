"""L7: the true incident was opened once and closed once, and people were told of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from tests.chaos.expected_series import instant_ms
from tests.chaos.oracle_world import World
from tests.chaos.sent import Incident

RULE: Final = "Menu Generation Critical"
#: The condition is true from the first seconds of the incident until its failures are diluted or have left the window of a minute.
_WINDOW_MS: Final = 60_000


def incidents_told(incident: Incident | None, world: World) -> list[str]:
    """Judge what the alerter published, what was archived of it and what the receivers got."""
    alerts_log = [orjson.loads(value) for value in world.alerts_log]
    published = _transitions(alerts_log)
    archived = _transitions(world.alerts)
    found = _lifecycle("alerts.v1", incident, published) + _lifecycle("alerts", incident, archived)
    keys = {alert["incident_key"] for alert in published.values()}
    of_others = {alert["incident_key"] for alert in alerts_log if alert["rule"] != RULE}
    return found + _receivers(world, keys, of_others, expected=incident is not None)


def resolved(alerts_log: Iterable[bytes]) -> bool:
    """Whether the rule's incident is over, as far as alerts.v1 says."""
    return any(alert["state"] in ("resolved", "retro_cleared") for alert in _transitions(map(orjson.loads, alerts_log)).values())


def _transitions(alerts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Distinct transitions of the rule: each is published at least once, the first record counts."""
    found: dict[str, dict[str, Any]] = {}
    for alert in alerts:
        if alert["rule"] == RULE:
            found.setdefault(alert["transition_id"], alert)
    return found


def _lifecycle(source: str, incident: Incident | None, transitions: dict[str, dict[str, Any]]) -> list[str]:
    told = [f"{alert['state']} {alert['incident_key'][:12]} since {alert['since']}" for alert in transitions.values()]
    want = ["firing", "resolved"] if incident else []
    states = sorted(alert["state"] for alert in transitions.values())
    if states != want:
        return [
            f"L7 {source}: want one firing and one resolved, got {told or 'nothing'}" if want else f"L7 {source}: no incident, got {told}"
        ]
    if incident is None:
        return []
    found = []
    if len({alert["incident_key"] for alert in transitions.values()}) != 1:
        found.append(f"L7 {source}: firing and resolved are of different incidents: {told}")
    for alert in transitions.values():
        since_ms = instant_ms(str(alert["since"]).replace(" ", "T").replace("Z", "") + "+00:00")
        if not incident.start_ms <= since_ms <= incident.end_ms + _WINDOW_MS:
            found.append(f"L7 {source}: {alert['state']} since {alert['since']} is not about the incident at {incident.start_ms}")
    return found


def _receivers(world: World, keys: set[str], of_others: set[str], *, expected: bool) -> list[str]:
    """`of_others`: incidents of other rules, of which the traffic makes some: a security signal is one."""
    told = {request["body"]["dedup_key"] for request in world.pagerduty if request["body"].get("event_action") == "trigger"}
    triggers = told - of_others
    found = []
    if triggers != keys or (expected and not triggers):
        found.append(f"L7 PagerDuty: want triggers of {_short(keys)}, got {_short(triggers)}")
    if expected and not _slack_messages(world, "fires"):
        found.append("L7 Slack: no message that the rule fires")
    named = {key for key in keys if any(key in orjson.dumps(request["body"]).decode() for request in _slack_messages(world, "fires"))}
    if named != keys:
        found.append(f"L7 Slack: want messages about {_short(keys)}, got {_short(named)}")
    return found


def _slack_messages(world: World, verb: str) -> list[dict[str, Any]]:
    return [request for request in world.slack if f"{RULE} {verb}" in request["body"].get("text", "")]


def _short(keys: set[str]) -> str:
    return ", ".join(sorted(key[:12] for key in keys)) or "nothing"
