"""Inactive, pending, firing, over: what a judgement makes of the incident of one series. Pure; decision 0010 says what is when.

Time is event time, except for what counts as too old to page. An incident is opened by a true judgement once its condition has been
true for `for`. It ends when a false one looks `keep_firing_for` beyond the last true one. Unknown ends nothing. What the judgements of
replayed flushes say of an incident that is over changes nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from alerting.engine import announcement
from alerting.engine.announcement import Order
from alerting.engine.evidence import Judgement
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.alert import OPEN_STATES, Alert, AlertState, Context
from schemas.decision import SeriesState
from schemas.pane import PANE_MS
from schemas.timestamps import to_ms

#: A window that ended longer ago pages nobody.
TOO_OLD_TO_PAGE_MS: Final = 900_000
#: Of incidents that are over, so many are remembered, and for so long: panes that are read again may still speak of them.
_SPANS_KEPT: Final = 100
SPANS_KEPT_MS: Final = 86_400_000
#: Gates that hold a verdict on events that are there. Those that wait for partitions or for ClickHouse say nothing of the data.
_GATES_ON_DATA: Final = frozenset({"errors", "confidence"})


@dataclass(frozen=True, slots=True)
class Pending:
    """A condition that is true, and not yet for as long as its rule asks: since when, and what names the incident if it becomes one."""

    since_ms: int
    anchor_ms: int


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What is known of the incidents of one rule and series; times are event times.

    open: the alert as last published, None while inactive; last_true_ms: of the newest true judgement of what is pending or open;
    last_data_ms: of the newest look that found enough events. over: [first, last] of incidents that are over, oldest first; a
    judgement inside one is old news. unseen: restored, and not looked at since.
    """

    open: Alert | None = None
    pending: Pending | None = None
    last_true_ms: int = 0
    last_data_ms: int = 0
    over: tuple[tuple[int, int], ...] = ()
    unseen: bool = False

    @property
    def state(self) -> SeriesState:
        if self.open is not None:
            return _SERIES_STATES[self.open.state]
        return "inactive" if self.pending is None else "pending"


Step = tuple[Lifecycle, Alert | None]

_SERIES_STATES: Final[dict[AlertState, SeriesState]] = {
    "firing": "firing",
    "acknowledged": "acknowledged",
    "no_data": "no_data",
    "retro_fired": "retro_fired",
}


def restore(alerts: Iterable[Alert], rule: Rule) -> Lifecycle:
    """The lifecycle of one series from its alerts in the order they were published; repeats of a transition are harmless."""
    state, seen = Lifecycle(), set[str]()
    for alert in alerts:
        if alert.transition_id in seen:
            continue
        seen.add(alert.transition_id)
        if alert.state in OPEN_STATES:
            judged_to_ms = to_ms(alert.judged_to)
            state = replace(state, open=announcement.slim(alert), last_true_ms=judged_to_ms, last_data_ms=judged_to_ms, unseen=True)
        elif state.open is not None and state.open.incident_key == alert.incident_key:
            state = _closed(state, alert, rule)
    return state


def step(state: Lifecycle, judgement: Judgement, now_ms: int) -> Step:
    """The state after `judgement`, and the alert to publish if it is a transition."""
    state = _looked_at(state, judgement)
    if judgement.verdict == "true":
        return _while_true(state, judgement, now_ms)
    if state.open is None:
        return _not_pending(state, judgement), None
    if judgement.verdict == "false" and ends_incident(state, judgement):
        alert = announcement.over(judgement, state.open, now_ms)
        return _closed(state, alert, judgement.rule), alert
    if judgement.held_by == "n":
        return _without_data(state, judgement, now_ms)
    return _with_data(state, judgement, now_ms) if _has_data(judgement) else (state, None)


def observe(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """Take note of a judgement that an earlier alerter has acted on already."""
    state, at_ms = _looked_at(state, judgement), judgement.judged_to_ms
    if state.open is None:
        return _while_pending(state, judgement) if judgement.verdict == "true" else _not_pending(state, judgement)
    if judgement.verdict == "true":
        return _true_again(state, judgement)
    return replace(state, last_data_ms=max(state.last_data_ms, at_ms)) if _has_data(judgement) else state


def acknowledge(state: Lifecycle, series: Series, order: Order, now_ms: int) -> Step:
    """Somebody works on it: whatever comes in, or does not, it stays `acknowledged` until it is over or the acknowledgement taken back."""
    if state.open is None or state.open.state not in {"firing", "no_data"}:
        return state, None
    alert = announcement.acknowledged(series, state.open, order, now_ms)
    return replace(state, open=alert), alert


def unacknowledge(state: Lifecycle, series: Series, order: Order, now_ms: int) -> Step:
    """It fires again."""
    if state.open is None or state.open.state != "acknowledged":
        return state, None
    alert = announcement.unacknowledged(series, state.open, order, now_ms)
    return replace(state, open=alert), alert


def attach(state: Lifecycle, context: Context) -> Lifecycle:
    """What was found about the open incident goes into every later alert of it."""
    return state if state.open is None else replace(state, open=announcement.with_context(state.open, context))


def ends_incident(state: Lifecycle, judgement: Judgement) -> bool:
    """Whether the judgement, were it false, would end the open incident."""
    return judgement.judged_to_ms - state.last_true_ms >= judgement.rule.keep_firing_for_ms


def _looked_at(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """What was true, or there, before the first look after a restart is not known: the benefit of the doubt is the incident's."""
    if not state.unseen:
        return state
    return replace(_true_again(state, judgement), unseen=False)


def _while_true(state: Lifecycle, judgement: Judgement, now_ms: int) -> Step:
    at_ms, rule = judgement.judged_to_ms, judgement.rule
    too_old = now_ms - judgement.window_to_ms > TOO_OLD_TO_PAGE_MS
    before = state.open
    if before is None:
        state = _while_pending(state, judgement)
        if state.pending is None or at_ms - state.pending.since_ms < rule.for_ms:
            return state, None
        begin = announcement.retro_fired if too_old else announcement.firing
        alert = begin(judgement, state.pending.since_ms, state.pending.anchor_ms, now_ms)
        return replace(state, open=alert, pending=None, last_data_ms=at_ms), alert
    if before.state == "retro_fired" and not too_old:
        alert = announcement.fires_after_all(judgement, before, now_ms)
        return replace(_true_again(state, judgement), open=alert), alert
    return _with_data(_true_again(state, judgement), judgement, now_ms)


def _true_again(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    at_ms = judgement.judged_to_ms
    return replace(state, last_true_ms=max(state.last_true_ms, at_ms), last_data_ms=max(state.last_data_ms, at_ms))


def _while_pending(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    at_ms = judgement.judged_to_ms
    if any(first <= at_ms <= last for first, last in state.over):
        return state
    if state.pending is None or _lapsed(state, judgement):
        return replace(state, pending=Pending(at_ms, judgement.anchor_ms), last_true_ms=at_ms)
    return replace(state, last_true_ms=max(state.last_true_ms, at_ms))


def _not_pending(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """False as late as the last true look ends what was pending; unknown does once it has lasted for as long as `for`."""
    if state.pending is None:
        return state
    contradicted = judgement.verdict == "false" and judgement.judged_to_ms >= state.last_true_ms
    return Lifecycle(over=state.over) if contradicted or _lapsed(state, judgement) else state


def _lapsed(state: Lifecycle, judgement: Judgement) -> bool:
    return judgement.judged_to_ms - state.last_true_ms > max(judgement.rule.for_ms, PANE_MS)


def _has_data(judgement: Judgement) -> bool:
    return judgement.verdict != "unknown" or judgement.held_by in _GATES_ON_DATA


def _with_data(state: Lifecycle, judgement: Judgement, now_ms: int) -> Step:
    if judgement.judged_to_ms > state.last_data_ms:
        state = replace(state, last_data_ms=judgement.judged_to_ms)
    if state.open is None or state.open.state != "no_data":
        return state, None
    alert = announcement.fires_again(judgement, state.open, now_ms)
    return replace(state, open=alert), alert


def _without_data(state: Lifecycle, judgement: Judgement, now_ms: int) -> Step:
    before = state.open
    if before is None or before.state != "firing" or judgement.judged_to_ms - state.last_data_ms < judgement.rule.no_data_after_ms:
        return state, None
    alert = announcement.no_data(judgement, before, now_ms)
    return replace(state, open=alert), alert


def _closed(state: Lifecycle, alert: Alert, rule: Rule) -> Lifecycle:
    """Late data may find a window true that ended up to one window before the incident began: that is the same incident.

    So is a window that ends no later than the last one that was judged: its incident would have the same name.
    """
    first_ms, last_ms = to_ms(alert.since) - rule.longest_window_ms, to_ms(alert.judged_to)
    if rule.keep_firing_for_ms < PANE_MS:
        last_ms = max(last_ms, to_ms(alert.window_to))
    kept = [span for span in state.over if span[1] > last_ms - SPANS_KEPT_MS]
    return Lifecycle(over=(*kept, (first_ms, last_ms))[-_SPANS_KEPT:])
