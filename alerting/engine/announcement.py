"""The alert of each transition: who is named how, and what a person reads first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from alerting.engine.evidence import Evidence, Judgement, amount, readable
from alerting.engine.identity import digest, incident_key
from alerting.engine.series import Series
from schemas.alert import Alert, AlertState, Context, Gate
from schemas.timestamps import from_ms

_ALL_FIELDS: Final = set(Alert.model_fields)
_STATE_IN_WORDS: Final[dict[AlertState, str]] = {
    "firing": "fires",
    "acknowledged": "is acknowledged",
    "no_data": "has no data",
    "resolved": "is resolved",
    "retro_fired": "would have fired",
    "retro_cleared": "would have been resolved",
}


@dataclass(frozen=True, slots=True)
class Order:
    """Who acknowledged an incident, or took that back, by which command."""

    by: str
    command_id: str


def firing(judgement: Judgement, since_ms: int, anchor_ms: int, now_ms: int) -> Alert:
    """An incident begins: true since `since_ms`, named by `anchor_ms`."""
    return _beginning(judgement, "firing", since_ms, anchor_ms, now_ms)


def retro_fired(judgement: Judgement, since_ms: int, anchor_ms: int, now_ms: int) -> Alert:
    """An incident began so long ago that nobody is to be paged for it."""
    return _beginning(judgement, "retro_fired", since_ms, anchor_ms, now_ms)


def fires_after_all(judgement: Judgement, before: Alert, now_ms: int) -> Alert:
    """What was found too late to page lasts until now."""
    return _judged(judgement, before, "firing", digest(before.incident_key, "firing"), now_ms)


def over(judgement: Judgement, before: Alert, now_ms: int) -> Alert:
    """The incident ends."""
    state: AlertState = "retro_cleared" if before.state == "retro_fired" else "resolved"
    return _judged(judgement, before, state, digest(before.incident_key, state), now_ms)


def no_data(judgement: Judgement, before: Alert, now_ms: int) -> Alert:
    """Nothing has come for so long that nobody can say whether it still fires."""
    return _judged(judgement, before, "no_data", digest(before.incident_key, "no_data", judgement.window_to_ms), now_ms)


def fires_again(judgement: Judgement, before: Alert, now_ms: int) -> Alert:
    """There is data again, and it does not end the incident."""
    return _judged(judgement, before, "firing", digest(before.incident_key, "firing", judgement.window_to_ms), now_ms)


def acknowledged(series: Series, before: Alert, order: Order, now_ms: int) -> Alert:
    """Somebody works on it."""
    return _said(series, before, "acknowledged", order, f"acknowledged by {order.by}", now_ms)


def unacknowledged(series: Series, before: Alert, order: Order, now_ms: int) -> Alert:
    """Nobody works on it any more."""
    return _said(series, before, "firing", order, f"acknowledgement taken back by {order.by}", now_ms)


def withdrawn(before: Alert, now_ms: int) -> Alert:
    """The end of an incident that nobody judges any more; its numbers stay the last ones."""
    state: AlertState = "retro_cleared" if before.state == "retro_fired" else "resolved"
    return before.model_copy(
        update={
            "transition_id": digest(before.incident_key, state),
            "state": state,
            "at": from_ms(now_ms),
            "summary": f"{_subject(before.rule, before.labels)} is over: the rule is gone",
            "reason": "the rule files have no such rule any more, or it is judged by other labels",
        }
    )


def with_context(alert: Alert, context: Context) -> Alert:
    """The same, and what was found about it."""
    return slim(alert.model_copy(update={"context": context}))


def slim(alert: Alert) -> Alert:
    """The same, without a note of its own of which fields it was given: all of them, two kilobytes for each open incident."""
    return Alert.model_construct(_ALL_FIELDS, **dict(alert))


def for_gate(judgement: Judgement, since_ms: int) -> Gate | None:
    """The gate that holds a condition which is not true for long enough; None where the rule has no `for`."""
    for_ms, lasted_ms = judgement.rule.for_ms, max(0, judgement.judged_to_ms - since_ms)
    if not for_ms:
        return None
    detail = f"true for {readable(lasted_ms, 'ms')}, at least {readable(for_ms, 'ms')} needed"
    return Gate(name="for", passed=lasted_ms >= for_ms, detail=detail)


def _beginning(judgement: Judgement, state: AlertState, since_ms: int, anchor_ms: int, now_ms: int) -> Alert:
    rule, shown = judgement.rule, judgement.deciding
    key = incident_key(rule.name, dict(judgement.series), anchor_ms)
    held_for = for_gate(judgement, since_ms)
    labels = {**rule.labels, **dict(judgement.series)}
    alert = Alert(
        transition_id=digest(key, state),
        incident_key=key,
        rule=rule.name,
        severity=rule.severity,
        state=state,
        at=from_ms(now_ms),
        since=from_ms(since_ms),
        condition=rule.condition.text,
        labels=labels,
        runbook=rule.runbook,
        channels=rule.channels,
        owner=rule.owner,
        **_evidence(judgement, shown, () if held_for is None else (held_for,)),
        **_words(_subject(rule.name, dict(judgement.series)), state, shown),
    )
    return slim(alert)


def _judged(judgement: Judgement, before: Alert, state: AlertState, transition_id: str, now_ms: int) -> Alert:
    """The incident after one more look; its deciding comparison stays the one that is shown, and it stays what it was opened as."""
    shown = judgement.of(before.term)
    words = _words(_subject(before.rule, dict(judgement.series)), state, shown)
    evidence = _evidence(judgement, shown, ())
    condition = judgement.rule.condition.text
    changed = {"transition_id": transition_id, "state": state, "at": from_ms(now_ms), "condition": condition}
    return slim(before.model_copy(update={**changed, **evidence, **words}))


def _said(series: Series, before: Alert, state: AlertState, order: Order, words: str, now_ms: int) -> Alert:
    changed = {
        "transition_id": digest(before.incident_key, state, order.command_id),
        "state": state,
        "at": from_ms(now_ms),
        "summary": f"{_subject(before.rule, dict(series))}: {words}",
        "reason": words,
    }
    return slim(before.model_copy(update=changed))


def _evidence(judgement: Judgement, shown: Evidence, more_gates: tuple[Gate, ...]) -> dict[str, Any]:
    comparison = shown.comparison
    return {
        "term": comparison.text,
        "value": shown.value or 0.0,
        "threshold": comparison.threshold,
        "unit": comparison.quantity.unit,
        "numerator": shown.numerator,
        "denominator": shown.denominator,
        "window_from": from_ms(shown.window_from_ms),
        "window_to": from_ms(shown.window_to_ms),
        "judged_to": from_ms(judgement.judged_to_ms),
        "watermark": None if judgement.watermark_ms is None else from_ms(judgement.watermark_ms),
        "terms": judgement.terms,
        "gates": tuple(map(_same_gate, (*shown.gates, *more_gates))),
        "sql": judgement.sql(shown),
        "window_sql": judgement.window_sql(shown),
    }


def _words(subject: str, state: AlertState, shown: Evidence) -> dict[str, str]:
    """One line for a person, and what the state rests on."""
    return {
        "summary": f"{subject} {_STATE_IN_WORDS[state]}: {shown.comparison.quantity.name} {amount(shown)}",
        "reason": f"{shown.comparison.text} is {shown.verdict}: {amount(shown)}",
    }


@lru_cache(maxsize=1024)
def _same_gate(gate: Gate) -> Gate:
    """Incidents that open together were let pass by the same gates: ten thousand of them hold each gate once."""
    return gate


def _subject(rule: str, series: Mapping[str, str]) -> str:
    return f"{rule} ({', '.join(f'{name} {value}' for name, value in sorted(series.items()))})" if series else rule
