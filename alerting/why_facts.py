"""What `alerting.why` rests on, read from the archive of the alerting topics in ClickHouse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from alerting.engine.suggestion import did_you_mean
from alerting.why import Facts, Held, Incident, Judged, Told
from pipeline.clickhouse.client import Client
from pipeline.runtime.errors import Stop
from schemas.timestamps import to_ms

_MINUTE: Final = """
SELECT window_to, verdict, reason, gates, labels, state, series FROM decisions
WHERE rule = {rule:String} AND kind = 'minute' AND window_to <= fromUnixTimestamp64Milli({ends:Int64})
ORDER BY window_to DESC, at DESC LIMIT 1
"""
#: Of rules with many series the newest are enough.
_VERDICTS: Final = """
SELECT window_to, verdict, reason, gates, labels, state, series FROM decisions
WHERE rule = {rule:String} AND kind = 'verdict' AND at <= fromUnixTimestamp64Milli({ends:Int64})
ORDER BY at DESC LIMIT 1 BY labels LIMIT 20
"""
_INCIDENTS: Final = """
SELECT incident_key, argMax(state, at) AS newest, argMax(summary, at) AS said, min(since) AS true_since, min(at) AS fired_at,
    max(at) AS changed_at
FROM alerts WHERE rule = {rule:String} AND at <= fromUnixTimestamp64Milli({ends:Int64})
GROUP BY incident_key
HAVING newest NOT IN ('resolved', 'retro_cleared') OR changed_at >= fromUnixTimestamp64Milli({begins:Int64})
ORDER BY fired_at DESC LIMIT 20
"""
_ESCALATIONS: Final = """
SELECT incident_key, group_key, event, at, actor, until, plan, due_at FROM escalations
WHERE incident_key IN {keys:Array(String)} AND at <= fromUnixTimestamp64Milli({ends:Int64}) ORDER BY at, escalation_id
"""
_HELD: Final = """
SELECT at, incident_key, reason FROM decisions
WHERE kind = 'suppression' AND incident_key IN {keys:Array(String)} AND at <= fromUnixTimestamp64Milli({ends:Int64}) ORDER BY at
"""
#: An outcome is in place of the earlier ones of the same notification.
_TOLD: Final = """
SELECT max(at) AS last_at, any(group_key) AS group_of, any(receiver) AS who, any(action) AS what, argMax(outcome, (attempt, at)) AS result,
    argMax(reason, (attempt, at)) AS why
FROM deliveries WHERE group_key IN {groups:Array(String)} AND at <= fromUnixTimestamp64Milli({ends:Int64})
GROUP BY delivery_id ORDER BY last_at
"""
_HEARTBEAT: Final = """
SELECT max(at) AS last_at, count() AS n FROM decisions
WHERE rule = 'watchdog' AND kind = 'heartbeat' AND at <= fromUnixTimestamp64Milli({ends:Int64})
"""
_RULES: Final = "SELECT DISTINCT rule FROM decisions WHERE kind IN ('verdict', 'minute')"


async def read_facts(client: Client, rule: str, begins: datetime, ends: datetime) -> Facts:
    """What was known of `rule` at `ends`, and of incidents that were open at some time since `begins`.

    Raises:
        RetryAfter: ClickHouse does not answer.
        Stop: No rule of that name was ever judged.
    """
    parameters: dict[str, Any] = {"rule": rule, "begins": to_ms(begins), "ends": to_ms(ends)}
    minute = await client.query(_MINUTE, parameters | {"ends": -(-to_ms(ends) // 60_000) * 60_000})
    verdicts = await client.query(_VERDICTS, parameters)
    alerts = await client.query(_INCIDENTS, parameters)
    if not (minute or verdicts or alerts):
        await _check_name(client, rule)
    keys = parameters | {"keys": [row["incident_key"] for row in alerts]}
    escalations = await client.query(_ESCALATIONS, keys) if alerts else []
    incidents = tuple(
        _incident(row, [event for event in escalations if event["incident_key"] == row["incident_key"]], ends) for row in alerts
    )
    held = await client.query(_HELD, keys) if alerts else []
    groups = sorted({incident.group_key for incident in incidents})
    told = await client.query(_TOLD, parameters | {"groups": groups}) if groups else []
    (heartbeat,) = await client.query(_HEARTBEAT, parameters)
    return Facts(
        rule=rule,
        at=ends,
        minute=_judged(minute[0]) if minute else None,
        verdicts=tuple(_judged(row) for row in verdicts),
        incidents=incidents,
        held=tuple(Held(row["at"], row["incident_key"], row["reason"]) for row in held),
        told=tuple(Told(row["last_at"], row["group_of"], row["who"], row["what"], row["result"], row["why"]) for row in told),
        heartbeat_at=heartbeat["last_at"] if heartbeat["n"] else None,
    )


async def _check_name(client: Client, rule: str) -> None:
    names = [row["rule"] for row in await client.query(_RULES)]
    if names and rule not in names:
        raise Stop(f"no rule {rule!r} was ever judged{did_you_mean(rule, names)}")


def _judged(row: dict[str, Any]) -> Judged:
    failed = next((gate for gate in orjson.loads(row["gates"] or "[]") if not gate["passed"]), {"name": "", "detail": ""})
    state, series = row["state"] or "", dict(row["series"])
    return Judged(row["window_to"], row["verdict"], row["reason"], failed["name"], failed["detail"], dict(row["labels"]), state, series)


def _incident(row: dict[str, Any], events: list[dict[str, Any]], ends: datetime) -> Incident:
    acked_by, snoozed_until, plan, group_key = "", None, [], row["incident_key"]
    for event in events:
        group_key = event["group_key"]
        if event["event"] == "acked":
            acked_by = event["actor"]
        elif event["event"] in ("unacked", "opened"):
            acked_by, snoozed_until = "", None
        elif event["event"] == "snoozed":
            snoozed_until = event["until"]
        if event["event"] in ("opened", "unacked", "snoozed"):
            plan = orjson.loads(event["plan"] or "[]")
        elif event["event"] in ("acked", "reassigned", "resolved"):
            plan = []
    steps = [(datetime.fromisoformat(step["due_at"]).astimezone(UTC), tuple(step["targets"])) for step in plan]
    due_at, targets = next(((due_at, targets) for due_at, targets in steps if due_at > ends), (None, ()))
    return Incident(
        incident_key=row["incident_key"],
        group_key=group_key,
        state=row["newest"],
        since=row["true_since"],
        fired_at=row["fired_at"],
        summary=row["said"],
        acked_by=acked_by,
        snoozed_until=snoozed_until,
        next_due_at=due_at,
        next_targets=targets,
    )
