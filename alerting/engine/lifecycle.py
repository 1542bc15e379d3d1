"""Inactive, pending, firing, over: what a judgement makes of the incident of one series. Pure; decision 0010 says what is when.

Time is event time, except for what counts as too old to page. An incident is opened by a true judgement once its condition has been
true for `for`. It ends when a false one looks `keep_firing_for` beyond the last true one. Unknown ends nothing. What the judgements of
replayed flushes say of an incident that is over changes nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

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


class Pending(NamedTuple):
    """A condition that is true, and not yet for as long as its rule asks; anchor_ms names the incident if it becomes one."""

    since_ms: int
    anchor_ms: int
    last_true_ms: int


class Past(NamedTuple):
    """An incident that is over. first_ms: judgements from here to `last_ms` that find it true are old news."""

    first_ms: int
    since_ms: int
    opened_ms: int
    last_ms: int
    incident_key: str


class Standing(NamedTuple):
    """How a series stood at some event time. since_ms: when the condition became true, None when nothing was pending or open."""

    state: SeriesState
    since_ms: int | None = None
    incident_key: str | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What is known of the incidents of one rule and series; times are event times.

    open: the alert as last published, None while inactive; since_ms, opened_ms: when its condition became true, and had been for long
    enough; last_true_ms, last_data_ms: of the newest look that found it true, and of the newest that found enough events.
    over: oldest first. unseen: restored, and not looked at since.
    """

    open: Alert | None = None
    since_ms: int = 0
    opened_ms: int = 0
    last_true_ms: int = 0
    last_data_ms: int = 0
    pending: Pending | None = None
    over: tuple[Past, ...] = ()
    unseen: bool = False

    @property
    def state(self) -> SeriesState:
        if self.open is not None:
            return _SERIES_STATES[self.open.state]
        return "inactive" if self.pending is None else "pending"

    def at(self, event_time_ms: int) -> Standing:
        """How the series stood then, also when it is known already what came of it: judged again, the past is what it was."""
        if self.open is not None and event_time_ms >= self.opened_ms:
            return Standing(_SERIES_STATES[self.open.state], self.since_ms, self.open.incident_key)
        if self.open is not None and event_time_ms >= self.since_ms:
            return Standing("pending", self.since_ms)
        for past in self.over:
            if past.since_ms <= event_time_ms < past.last_ms:
                return (
                    Standing("firing", past.since_ms, past.incident_key)
                    if event_time_ms >= past.opened_ms
                    else Standing("pending", past.since_ms)
                )
        return Standing("inactive") if self.pending is None else Standing("pending", self.pending.since_ms)


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
        is_same = state.open is not None and state.open.incident_key == alert.incident_key
        if alert.state not in OPEN_STATES:
            state = _closed(state, alert, rule) if is_same else state
            continue
        judged_to_ms = to_ms(alert.judged_to)
        if not is_same:
            state = Lifecycle(since_ms=to_ms(alert.since), opened_ms=judged_to_ms, over=state.over, unseen=True)
        state = replace(state, open=announcement.slim(alert))
        if alert.state != "no_data":
            state = replace(state, last_true_ms=judged_to_ms, last_data_ms=judged_to_ms)
    return state


def step(state: Lifecycle, judgement: Judgement, now_ms: int) -> Step:
    """The state after `judgement`, and the alert to publish if it is a transition."""
    state = _looked_at(state, judgement)
    if state.open is None:
        state = _follow_pending(state, judgement)
        return _open(state, state.pending, judgement, now_ms) if judgement.verdict == "true" and state.pending else (state, None)
    if judgement.judged_to_ms < state.since_ms:
        return _follow_pending(state, judgement), None  # read again: what came of it is open
    if judgement.verdict == "true":
        return _while_true(state, state.open, judgement, now_ms)
    if judgement.verdict == "false" and ends_incident(state, judgement):
        alert = announcement.over(judgement, state.open, now_ms)
        return _closed(state, alert, judgement.rule), alert
    if judgement.held_by == "n":
        return _without_data(state, state.open, judgement, now_ms)
    return _with_data(state, state.open, judgement, now_ms) if _has_data(judgement) else (state, None)


def observe(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """Take note of a judgement that an earlier alerter has acted on already."""
    state = _looked_at(state, judgement)
    if state.open is None or judgement.judged_to_ms < state.since_ms:
        return _follow_pending(state, judgement)
    if judgement.verdict == "true":
        return _true_again(state, judgement)
    return _data_again(state, judgement) if _has_data(judgement) else state


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


def _open(state: Lifecycle, pending: Pending, judgement: Judgement, now_ms: int) -> Step:
    at_ms = judgement.judged_to_ms
    if at_ms - pending.since_ms < judgement.rule.for_ms:
        return state, None
    begin = announcement.retro_fired if _is_too_old(judgement, now_ms) else announcement.firing
    alert = begin(judgement, pending.since_ms, pending.anchor_ms, now_ms)
    opened = Lifecycle(alert, pending.since_ms, at_ms, last_true_ms=pending.last_true_ms, last_data_ms=at_ms, over=state.over)
    return opened, alert


def _while_true(state: Lifecycle, before: Alert, judgement: Judgement, now_ms: int) -> Step:
    state = _true_again(state, judgement)
    if before.state == "retro_fired" and not _is_too_old(judgement, now_ms):
        alert = announcement.fires_after_all(judgement, before, now_ms)
        return replace(state, open=alert), alert
    return _with_data(state, before, judgement, now_ms)


def _is_too_old(judgement: Judgement, now_ms: int) -> bool:
    return now_ms - judgement.window_to_ms > TOO_OLD_TO_PAGE_MS


def _true_again(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    at_ms = judgement.judged_to_ms
    if at_ms <= state.last_true_ms and at_ms <= state.last_data_ms:
        return state
    return replace(state, last_true_ms=max(state.last_true_ms, at_ms), last_data_ms=max(state.last_data_ms, at_ms))


def _data_again(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    return replace(state, last_data_ms=judgement.judged_to_ms) if judgement.judged_to_ms > state.last_data_ms else state


def _follow_pending(state: Lifecycle, judgement: Judgement) -> Lifecycle:
    """True begins it, or goes on with it. False as late as the last true look ends it, and unknown once it lasts for as long as `for`."""
    at_ms, pending = judgement.judged_to_ms, state.pending
    if pending is not None and at_ms - pending.last_true_ms > max(judgement.rule.for_ms, PANE_MS):
        pending = None
    if judgement.verdict == "true" and not any(past.first_ms <= at_ms <= past.last_ms for past in state.over):
        before = pending or Pending(at_ms, judgement.anchor_ms, at_ms)
        pending = before._replace(last_true_ms=max(before.last_true_ms, at_ms))
    elif judgement.verdict == "false" and pending is not None and at_ms >= pending.last_true_ms:
        pending = None
    return state if pending == state.pending else replace(state, pending=pending)


def _has_data(judgement: Judgement) -> bool:
    return judgement.verdict != "unknown" or judgement.held_by in _GATES_ON_DATA


def _with_data(state: Lifecycle, before: Alert, judgement: Judgement, now_ms: int) -> Step:
    state = _data_again(state, judgement)
    if before.state != "no_data" or judgement.judged_to_ms < to_ms(before.judged_to):
        return state, None
    alert = announcement.fires_again(judgement, before, now_ms)
    return replace(state, open=alert), alert


def _without_data(state: Lifecycle, before: Alert, judgement: Judgement, now_ms: int) -> Step:
    if before.state != "firing" or judgement.judged_to_ms - state.last_data_ms < judgement.rule.no_data_after_ms:
        return state, None
    alert = announcement.no_data(judgement, before, now_ms)
    return replace(state, open=alert), alert


def _closed(state: Lifecycle, alert: Alert, rule: Rule) -> Lifecycle:
    """Late data may find a window true that ended up to one window before the incident began: that is the same incident.

    So is a window that ends no later than the last one that was judged: its incident would have the same name.
    """
    last_ms = to_ms(alert.judged_to)
    if rule.keep_firing_for_ms < PANE_MS:
        last_ms = max(last_ms, to_ms(alert.window_to))
    kept = [past for past in state.over if past.last_ms > last_ms - SPANS_KEPT_MS]
    past = Past(state.since_ms - rule.longest_window_ms, state.since_ms, state.opened_ms, last_ms, alert.incident_key)
    return Lifecycle(over=(*kept, past)[-_SPANS_KEPT:])
