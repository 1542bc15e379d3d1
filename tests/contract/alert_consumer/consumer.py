"""A consumer of alerts.v1 and escalations.v1, written from their JSON Schemas alone: `python -m schemas.conformance -- python consumer.py`.

It reads records as JSON lines and says in the end what is open and how often each incident was paged about.
"""

import json
import sys
from typing import Any

OVER = {"resolved", "retro_cleared"}
PAGING = {"step_due", "repeated", "reassigned"}


def main() -> None:
    """Read to the end, then answer."""
    incidents: dict[str, dict[str, Any]] = {}
    pages: dict[str, int] = {}
    seen: set[str] = set()
    for line in sys.stdin:
        record = json.loads(line)
        value = record["value"]
        is_alert = record["topic"] == "alerts.v1"
        identity = value["transition_id" if is_alert else "escalation_id"]
        if identity in seen:
            continue
        seen.add(identity)
        key = value["incident_key"]
        if is_alert:
            incidents[key] = {"state": value["state"], "severity": value["severity"]}
        elif value["event"] in PAGING and value.get("notify", True):
            pages[key] = pages.get(key, 0) + 1
    still_open = {key: incident for key, incident in incidents.items() if incident["state"] not in OVER}
    json.dump({"open": still_open, "pages": pages}, sys.stdout)


main()
