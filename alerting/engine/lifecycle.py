"""Inactive, firing, resolved: what a judgement makes of an incident. Time is event time, except for what counts as too old to page.

An incident is opened by a true judgement. It ends when a false one looks `keep_firing_for` beyond the last true one. Unknown
changes nothing. What the judgements of replayed flushes say of an incident that is over changes nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from alerting.engine.evidence import Judgement, amount
from alerting.engine.identity import digest, incident_key
from alerting.engine.rule import Rule
from schemas.alert import OPEN_STATES, Alert, AlertState
from schemas.timestamps import from_ms, to_ms

#: A window that ended longer ago pages nobody.
TOO_OLD_TO_PAGE_MS: Final = 900_000
_SPANS_KEPT: Final = 100
_STATE_IN_WORDS: Final[dict[AlertState, str]] = {
    "firing": "fires",
    "resolved": "is resolved",
    "retro_fired": "would have fired",
    "retro_cleared": "would have been resolved",
}


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What is known of one rule's incidents.

    open: the alert as last published, None while inactive; last_true_ms: event time of the newest true judgement of it.
    over: [first, last] event times of incidents that are over, oldest first; a judgement inside one is old news.
    """

    open: Alert | None = None
    last_true_ms: int = 0
    over: tuple[tuple[int, int], ...] = ()


def restore(alerts: Iterable[Alert], rule: Rule) -> Lifecycle:
    """The lifecycle of `rule` from its alerts in the order they were published; repeats of a transition are harmless."""
    state, seen = Lifecycle(), set[str]()
    for alert in alerts:
        if alert.transition_id in seen:
            continue
        seen.add(alert.transition_id)
        if alert.state in OPEN_STATES:
            state = replace(state, open=alert, last_true_ms=max(state.last_true_ms, to_ms(alert.judged_to)))
        elif state.open is not None and state.open.incident_key == alert.incident_key:
            state = _closed(state, alert, rule)
    return state


def step(state: Lifecycle, rule: Rule, judgement: Judgement, now_ms: int) -> tuple[Lifecycle, Alert | None]:
    """The state after `judgement`, and the alert to publish if it is a transition."""
    if judgement.verdict == "true":
        return _while_true(state, rule, judgement, now_ms)
    if judgement.verdict == "false" and state.open is not None and ends_incident(state, rule, judgement.judged_to_ms):
        new_state: AlertState = "resolved" if state.open.state == "firing" else "retro_cleared"
        alert = _alert(rule, judgement, new_state, now_ms, state.open)
        return _closed(state, alert, rule), alert
    return state, None


def ends_incident(state: Lifecycle, rule: Rule, judged_to_ms: int) -> bool:
    """Whether a judgement that is false up to `judged_to_ms` would end the open incident."""
    return judged_to_ms - state.last_true_ms >= rule.keep_firing_for_ms


def observe(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """Take note of a judgement that an earlier alerter has acted on already."""
    if judgement.verdict == "true" and state.open is not None:
        return replace(state, last_true_ms=max(state.last_true_ms, judgement.judged_to_ms))
    return state


def _while_true(state: Lifecycle, rule: Rule, judgement: Judgement, now_ms: int) -> tuple[Lifecycle, Alert | None]:
    at_ms = judgement.judged_to_ms
    too_old = now_ms - judgement.window_to_ms > TOO_OLD_TO_PAGE_MS
    before = state.open
    if before is None:
        if any(first <= at_ms <= last for first, last in state.over):
            return state, None
        alert = _alert(rule, judgement, "retro_fired" if too_old else "firing", now_ms, None)
        return replace(state, open=alert, last_true_ms=at_ms), alert
    state = replace(state, last_true_ms=max(state.last_true_ms, at_ms))
    if before.state == "retro_fired" and not too_old:
        alert = _alert(rule, judgement, "firing", now_ms, before)
        return replace(state, open=alert), alert
    return state, None


def _closed(state: Lifecycle, alert: Alert, rule: Rule) -> Lifecycle:
    """Late data may find a window true that ended up to one window before the incident began: that is the same incident."""
    span = (to_ms(alert.since) - rule.longest_window_ms, to_ms(alert.judged_to))
    return Lifecycle(over=(*state.over, span)[-_SPANS_KEPT:])


def _alert(rule: Rule, judgement: Judgement, state: AlertState, now_ms: int, before: Alert | None) -> Alert:
    """`before` is the incident as it was; its deciding comparison stays the one that is shown."""
    shown = judgement.deciding if before is None else judgement.of(before.term)
    term = shown.term
    key = incident_key(rule.name, {}, judgement.anchor_ms) if before is None else before.incident_key
    since = from_ms(judgement.judged_to_ms) if before is None else before.since
    return Alert(
        transition_id=digest(key, state),
        incident_key=key,
        rule=rule.name,
        severity=rule.severity,
        state=state,
        at=from_ms(now_ms),
        since=since,
        condition=rule.condition.text,
        term=term.text,
        value=term.value or 0.0,
        threshold=term.threshold,
        unit=term.unit,
        numerator=term.numerator,
        denominator=term.denominator,
        window_from=from_ms(shown.window_from_ms),
        window_to=from_ms(judgement.window_to_ms),
        judged_to=from_ms(judgement.judged_to_ms),
        watermark=None if judgement.watermark_ms is None else from_ms(judgement.watermark_ms),
        labels={},
        terms=judgement.terms,
        gates=shown.gates,
        sql=judgement.sql(shown),
        window_sql=judgement.window_sql(shown),
        summary=f"{rule.name} {_STATE_IN_WORDS[state]}: {shown.comparison.quantity.name} {amount(shown)}",
        reason=f"{term.text} is {term.verdict}: {amount(shown)}",
        runbook=rule.runbook,
        channels=rule.channels,
    )
