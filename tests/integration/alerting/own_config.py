"""A folder of alerting configuration with two rules and steps a test can wait for."""

from __future__ import annotations

import json
from pathlib import Path

MENUS, SLOW = "Menus Fail", "Menus Are Slow"
_RECEIVERS = ("slack-critical", "pagerduty", "dev-team", "ceo")


def write_config(directory: Path, *, last_step: str) -> Path:
    """Both rules page slack-critical at once, dev-team after 1 s, and the ceo after `last_step` if nobody has acknowledged."""
    (directory / "rules").mkdir(parents=True)
    (directory / "runbook.md").write_text("Look.\n")
    rules = [_rule(MENUS, "error_rate > 5%"), _rule(SLOW, "avg_time > 30s")]
    (directory / "rules" / "menus.yaml").write_text(json.dumps({"rules": rules}))
    chain = {
        "response_time": last_step,
        "steps": [{"after": "1s", "targets": ["dev-team"]}, {"after": last_step, "targets": ["ceo"]}],
    }
    policy = {
        "timezone": "UTC",
        "business_hours": {"days": ["mon"], "from": "09:00", "to": "18:00"},
        "severities": dict.fromkeys(("critical", "high", "medium", "low"), chain),
    }
    (directory / "escalation.yaml").write_text(json.dumps(policy))
    routes = {
        "receivers": {name: {"kind": "slack"} for name in _RECEIVERS} | {"watchdog": {"kind": "webhook"}},
        "groups": {"by": ["rule"], "wait": "0s", "interval": "1s", "repeat": "4h"},
    }
    (directory / "routes.yaml").write_text(json.dumps(routes))
    return directory


def _rule(name: str, condition: str) -> dict[str, object]:
    return {
        "name": name,
        "condition": condition,
        "channels": ["slack-critical"],
        "severity": "critical",
        "window": "1m",
        "keep_firing_for": "30s",
        "gates": {"min_events": 20},
        "runbook": "runbook.md",
    }
