"""Consumers as they are written in a hurry; the argument names what each of them does wrong."""

import json
import sys
from typing import Any

WRONG = sys.argv[1]
KNOWN = {"firing", "acknowledged", "no_data", "retro_fired"}


def main() -> None:
    """Read to the end, then answer."""
    if WRONG == "exits":
        sys.exit("cannot")
    incidents: dict[str, Any] = {}
    pages: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    newest: dict[str, str] = {}
    for line in sys.stdin:
        record = json.loads(line)
        value, key = record["value"], record["key"]
        is_alert = record["topic"] == "alerts.v1"
        identity = (record["topic"], value["transition_id" if is_alert else "escalation_id"])
        if WRONG == "strict" and "another" in value:
            sys.exit("unknown field another")
        if WRONG == "only the newest time" and is_alert:
            if value["at"] < newest.get(key, ""):
                continue
            newest[key] = value["at"]
        elif identity in seen and WRONG != "no ids":
            continue
        seen.add(identity)
        if WRONG == "needs the beginning" and is_alert and key not in incidents and value["state"] != "firing":
            continue
        if is_alert:
            incidents[key] = {"state": value["state"], "severity": value["severity"]}
        elif WRONG == "needs the alert first" and key not in incidents:
            sys.exit("an escalation of nothing")
        elif value["event"] in ("step_due", "repeated", "reassigned") and (value.get("notify", WRONG != "nobody") or WRONG == "tells all"):
            pages[key] = pages.get(key, 0) + 1
        if value.get("state") == "resolved" and WRONG == "one incident":
            incidents.clear()
    still_open = {key: one for key, one in incidents.items() if one["state"] not in ("resolved", "retro_cleared")}
    if WRONG == "known states":
        still_open = {key: one for key, one in incidents.items() if one["state"] in KNOWN}
    sys.stdout.write("done" if WRONG == "talks" else json.dumps({"open": still_open, "pages": pages}))


main()
