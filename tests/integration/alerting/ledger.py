"""The ledger of verdicts, row by row, without what depends on when somebody looked."""

from __future__ import annotations

import json
from typing import Any

from alerting.config.load import load_config
from schemas.timestamps import isoformat_of
from tests.integration.alerting.roles import read_topic

LEDGER = {"verdict", "minute"}
WATCHES_PIPELINE = {rule.name for rule in load_config().rules if rule.watches_pipeline}


async def ledger(broker: str, from_ms: int) -> list[tuple[Any, ...]]:
    """What the alerter has put on record of its verdicts."""
    rows = await read_topic(broker, "decisions.v1")
    return sorted(essence(row) for row in rows if row["kind"] in LEDGER and row["at"] >= isoformat_of(from_ms))


def essence(row: dict[str, Any]) -> tuple[Any, ...]:
    """All of a row but the time of day; rules that the time of day judges say the same, with the seconds they have counted to."""
    names = ["rule", "kind", "verdict", "state", "labels", "series"]
    if row["rule"] not in WATCHES_PIPELINE:
        names += ["decision_id", "window_from", "window_to", "judged_to", "reason", "terms", "gates"]
    return tuple(json.dumps(row[name], sort_keys=True) if isinstance(row[name], dict | list) else row[name] for name in names)
