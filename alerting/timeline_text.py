"""A timeline as text for a terminal, as Markdown for a report, and as a JSON document. Pure.

What came from events may hold anything: none of it becomes a control character of a terminal or a mark of Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from alerting.engine.evidence import readable
from alerting.incidents import as_document as incident_document
from alerting.timeline import Timeline
from schemas.alert import Alert, Context
from schemas.printable import printable
from schemas.timestamps import isoformat_ms

_MARKS: Final = re.compile(r"([\\`*_\[\]<>|~&]|^[#+-])")


def as_document(timeline: Timeline) -> dict[str, Any]:
    """incident (as `alerts list` has it), opened_at, durations in ms (null for what has not happened), timeline, and the rule's means."""
    durations, rule = timeline.durations, timeline.rule
    return {
        "incident": incident_document(timeline.incident),
        "opened_at": isoformat_ms(timeline.opened_at),
        "detected_after_ms": durations.detected_after_ms,
        "acknowledged_after_ms": durations.acknowledged_after_ms,
        "resolved_after_ms": durations.resolved_after_ms,
        "timeline": [
            {"at": isoformat_ms(entry.at), "kind": entry.kind, "what": entry.what, "text": entry.text} for entry in timeline.entries
        ],
        "rule": {
            "name": timeline.incident.alert.rule,
            "incidents": rule.incidents,
            "acknowledged": rule.acknowledged,
            "resolved": rule.resolved,
            "mtta_ms": rule.mtta_ms,
            "mttr_ms": rule.mttr_ms,
        },
    }


def as_text(timeline: Timeline) -> str:
    """Paragraphs: what it is, how long things took, the evidence, what happened."""
    alert = timeline.incident.alert
    lines = [f"{alert.rule}: {alert.state}, {alert.severity}", f"  {alert.summary}", ""]
    lines += [f"  {name:<16}{value}" for name, value in (*_facts(timeline), *_times(timeline), *_evidence(alert))]
    lines += ["", *(f"{_clock(entry.at)}  {entry.text}" for entry in timeline.entries)]
    lines += ["", _means(timeline)]
    return "\n".join(map(printable, lines))


def as_markdown(timeline: Timeline) -> str:
    """A report: headings, a table of facts, the timeline as a table, the SQL as code."""
    alert = timeline.incident.alert
    facts = (*_facts(timeline), *_times(timeline), *_evidence(alert))
    lines = [f"# {_plain(alert.rule)}", "", _plain(alert.summary), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_plain(value)} |" for name, value in facts]
    lines += ["", "## Timeline", "", "| at (UTC) | what |", "|---|---|"]
    lines += [f"| {_clock(entry.at)} | {_plain(entry.text)} |" for entry in timeline.entries]
    lines += ["", _plain(_means(timeline)), ""]
    if alert.sql:
        lines += ["## The same number by SQL", "", *(f"    {line}" for line in alert.sql.splitlines()), ""]
    return "\n".join(lines)


def duration(ms: int) -> str:
    """`4 min 12 s`: the two largest units, from seconds to days; tenths below ten seconds."""
    if ms < 10_000:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    parts = ((seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    first = next(place for place, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)


def _facts(timeline: Timeline) -> Iterator[tuple[str, str]]:
    incident, alert = timeline.incident, timeline.incident.alert
    yield "incident", alert.incident_key
    if incident.group_key not in ("", alert.incident_key):
        yield "group of", incident.group_key
    if alert.labels:
        yield "labels", ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()))
    if alert.owner:
        yield "owner", alert.owner
    yield "told", ", ".join(incident.paged) or "nobody"
    if incident.acked_by:
        yield "acknowledged", f"by {incident.acked_by}"
    if incident.snoozed_until is not None:
        yield "snoozed", f"until {isoformat_ms(incident.snoozed_until)}"
    if alert.runbook:
        yield "runbook", alert.runbook


def _times(timeline: Timeline) -> Iterator[tuple[str, str]]:
    durations = timeline.durations
    yield "since", f"{isoformat_ms(timeline.incident.alert.since)}"
    yield "opened", f"{isoformat_ms(timeline.opened_at)}, {duration(max(0, durations.detected_after_ms))} after it began"
    if durations.acknowledged_after_ms is not None:
        yield "to acknowledge", duration(durations.acknowledged_after_ms)
    if durations.resolved_after_ms is not None:
        yield "to resolve", duration(durations.resolved_after_ms)


def _evidence(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "condition", alert.condition
    value, threshold = readable(alert.value, alert.unit), readable(alert.threshold, alert.unit)
    yield "evidence", f"{alert.term}: {value} ({alert.numerator:.12g} / {alert.denominator:.12g}), threshold {threshold}"
    yield "window", f"{isoformat_ms(alert.window_from)} to {isoformat_ms(alert.window_to)}"
    if alert.context is not None:
        yield from _context(alert.context)


def _context(context: Context) -> Iterator[tuple[str, str]]:
    if context.error_classes:
        yield "errors", ", ".join(f"{one.error_type or 'unnamed'} ({one.count})" for one in context.error_classes)
    for suspect in context.suspects:
        lift = "nothing else fails" if suspect.lift is None else f"{suspect.lift:.1f} times as often as the rest"
        yield "suspect", f"{suspect.kind} {suspect.value}: {suspect.errors} of {suspect.total} fail, {lift}"
    if context.trace_ids:
        yield "traces", ", ".join(context.trace_ids)
    if context.note:
        yield "note", context.note


def _means(timeline: Timeline) -> str:
    rule = timeline.rule
    mtta = "nobody acknowledged one" if rule.mtta_ms is None else f"MTTA {duration(rule.mtta_ms)} ({rule.acknowledged} acknowledged)"
    mttr = "none is over" if rule.mttr_ms is None else f"MTTR {duration(rule.mttr_ms)} ({rule.resolved} resolved)"
    count = f"{rule.incidents} incident{'' if rule.incidents == 1 else 's'}"
    return f"{timeline.incident.alert.rule}, {count} in 90 days: {mtta}, {mttr}"


def _clock(at: datetime) -> str:
    """`2026-11-23 10:00:00.123`."""
    return isoformat_ms(at)[:-1].replace("T", " ")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", printable(text))
