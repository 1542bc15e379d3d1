"""What `alerting.why` rests on, read from the archive of the alerting topics in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson

from alerting.engine.escalation import EscalationState, fold
from alerting.engine.suggestion import did_you_mean
from alerting.why import Facts, Held, Incident, Judged, Told
from pipeline.clickhouse.client import Client
from pipeline.runtime.errors import Stop
from schemas.escalation import Escalation
from schemas.timestamps import from_ms, to_ms

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
#: Who is told at once is told in the very millisecond in which the escalation is opened.
_ESCALATIONS: Final = """
SELECT escalation_id, incident_key, rule, severity, event, step, target, due_at, at, actor, command_id, reason, plan, alert, group_key,
    until
FROM escalations WHERE incident_key IN {keys:Array(String)} AND at <= fromUnixTimestamp64Milli({ends:Int64})
ORDER BY at, event != 'opened', escalation_id
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
    escalations = [_escalation(row) for row in await client.query(_ESCALATIONS, keys)] if alerts else []
    incidents = tuple(_incident(row, [event for event in escalations if event.incident_key == row["incident_key"]], ends) for row in alerts)
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


def _incident(row: dict[str, Any], events: Iterable[Escalation], ends: datetime) -> Incident:
    state: EscalationState | None = None
    for event in events:
        state = fold(state, event)
    known = Incident(
        incident_key=row["incident_key"],
        group_key=row["incident_key"],
        state=row["newest"],
        since=row["true_since"],
        fired_at=row["fired_at"],
        summary=row["said"],
    )
    if state is None:
        return known
    step = next((step for step in state.plan if step.due_at > ends), None) if state.escalates else None
    return replace(
        known,
        group_key=state.group_key,
        acked_by=state.acked_by,
        snoozed_until=None if state.snoozed_until_ms is None else from_ms(state.snoozed_until_ms),
        next_due_at=None if step is None else step.due_at,
        next_targets=() if step is None else step.targets,
    )


def _escalation(row: dict[str, Any]) -> Escalation:
    return Escalation.model_validate(row | {"plan": orjson.loads(row["plan"] or "[]"), "alert": orjson.loads(row["alert"])})
