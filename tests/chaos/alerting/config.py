"""A folder of alerting configuration with times that fit into a minute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.chaos.alerting.script import FAILS, HOT

CHANNELS: Final = ("slack-ops", "pagerduty")
LATER: Final = "slack-lead"
#: After the incident opened; `LATER` is paged if nobody has acknowledged.
LATER_AFTER_S: Final = 20
SLACK: Final = ("slack-ops", LATER, "slack-backup")


def write_config(directory: Path) -> Path:
    """Two rules: each host is told of alone, all apis together."""
    (directory / "rules").mkdir(parents=True)
    (directory / "runbook.md").write_text("Look.\n")
    rules = [_rule(HOT, "cpu > 80%", "host"), _rule(FAILS, "external_api_error_rate > 50%", "api")]
    (directory / "rules" / "machines.yaml").write_text(json.dumps({"rules": rules}))
    steps = [{"after": f"{LATER_AFTER_S}s", "targets": [LATER]}]
    policy = {
        "timezone": "UTC",
        "business_hours": {"days": ["mon"], "from": "09:00", "to": "18:00"},
        "severities": {name: {"response_time": "5m", "steps": steps} for name in ("critical", "high", "medium", "low")},
    }
    (directory / "escalation.yaml").write_text(json.dumps(policy))
    routes = {
        "receivers": {
            "slack-ops": {"kind": "slack", "failover": ["slack-backup"]},
            "pagerduty": {"kind": "pagerduty", "failover": ["slack-backup"]},
            LATER: {"kind": "slack"},
            "slack-backup": {"kind": "slack"},
            "watchdog": {"kind": "webhook"},
        },
        "groups": {"by": ["rule", "host"], "wait": "3s", "interval": "8s", "repeat": "4h"},
    }
    (directory / "routes.yaml").write_text(json.dumps(routes))
    return directory


def _rule(name: str, condition: str, label: str) -> dict[str, object]:
    return {
        "name": name,
        "condition": condition,
        "by": [label],
        "channels": list(CHANNELS),
        "severity": "high",
        "window": "1m",
        "keep_firing_for": "10s",
        "gates": {"min_events": 20, "min_errors": 5},
        "runbook": "runbook.md",
    }
