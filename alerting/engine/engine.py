"""The alert engine: flushes, readings, commands and the time of day in; alerts, escalation events and decisions out. No I/O, no clock.

The same object runs in the alerter, on a test's clock and over recorded flushes. What it returns is to be published in that order;
if that fails, the engine is to be thrown away and another one restored from what the topics say (decision 0010).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from alerting.engine import announcement, lifecycle
from alerting.engine.announcement import Order
from alerting.engine.board import StoredPanes
from alerting.engine.evidence import Judgement
from alerting.engine.history import History, Place, last_acknowledgements, newest_alerts, restore_lifecycles
from alerting.engine.identity import digest
from alerting.engine.judge import Judge
from alerting.engine.lifecycle import SPANS_KEPT_MS, Lifecycle
from alerting.engine.paging import Paging
from alerting.engine.policy import EscalationPolicy
from alerting.engine.readings import Question, reading_to_decision
from alerting.engine.routing import Routing
from alerting.engine.rule import Rule
from alerting.engine.verdicts import FORGOTTEN_AFTER_MS, Ledger, Look
from schemas.alert import OPEN_STATES, Alert, Context
from schemas.command import Command
from schemas.decision import Decision, Reading
from schemas.escalation import Escalation
from schemas.pane import Flush
from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import to_ms

Output = Alert | Escalation | Decision

#: Open incidents are published again after so long, for readers that start late.
REPEAT_AFTER_MS: Final = 86_400_000
_SLACK_MS: Final = 120_000
_INACTIVE: Final = Lifecycle()


class Engine:
    """Restored from `history`. Then, in this order:

    `remember`, `observe`, `observe_reading` what an earlier engine has acted on; `on_flush` what it has not; `catch_up`, once; and then
    any of the `on_…` calls, as things happen. Nobody is paged but by `on_tick`: call it after everything that is there has been read.

    complete_from_ms: event time from which on no pane is missing in the flushes that are remembered.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        policy: EscalationPolicy,
        routing: Routing,
        *,
        history: History | None = None,
        partitions: int = EVENT_PARTITIONS,
        complete_from_ms: int = 0,
    ) -> None:
        history = history or History()
        self.rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self._judge = Judge(rules, partitions=partitions, complete_from_ms=complete_from_ms)
        self._paging = Paging(policy, routing)
        self._ledger = Ledger()
        self._alerts = newest_alerts(history.alerts)  # by incident; those that are over only until `catch_up`
        self._published_ms: dict[str, int] = {}  # of open incidents, the one that was published longest ago first
        self._lifecycles: dict[Place, Lifecycle] = {}
        self._places: dict[str, Place] = {}  # of open incidents
        self._ended_ms: dict[Place, int] = {}  # event time at which the last incident there ended, the longest over first
        self._acknowledgements = last_acknowledgements(history.escalations)
        self._restore(history)

    @property
    def complete_from_ms(self) -> int:
        return self._judge.complete_from_ms

    @complete_from_ms.setter
    def complete_from_ms(self, event_time_ms: int) -> None:
        self._judge.complete_from_ms = event_time_ms

    @property
    def open_alerts(self) -> list[Alert]:
        """Incidents that are not over, each as last published."""
        return [alert for alert in self._alerts.values() if alert.state in OPEN_STATES]

    def remember(self, flush: Flush, at_ms: int) -> None:
        """Take in a flush that is so old that what it made true has ended or been heard of since. at_ms: the record's timestamp."""
        self._judge.remember(flush, at_ms)

    def remember_stored(self, stored: StoredPanes) -> None:
        """The same of panes that ClickHouse has, instead of the flushes that brought them; see `alerting.joining` for which ones."""
        self._judge.remember_stored(stored)

    def observe(self, flush: Flush, at_ms: int) -> None:
        """Learn, and say nothing, from a flush that an earlier engine has acted on; see `muted_ms` for how many of them."""
        self._learn(self._judge.flush(flush, at_ms), at_ms)

    def observe_reading(self, reading: Reading, at_ms: int) -> None:
        """The same of a reading. at_ms: when it was handed to the earlier engine."""
        self._learn(self._judge.reading(reading), at_ms)

    def catch_up(self, now_ms: int) -> list[Output]:
        """What an earlier engine should still have said when it ended; from now on time may act. Call once."""
        self._judge.listen(now_ms)
        outputs: list[Output] = []
        for key in [alert.incident_key for alert in self.open_alerts if alert.incident_key not in self._places]:
            outputs += self._publish(announcement.withdrawn(self._alerts[key], now_ms), now_ms)
        outputs += self._heard(self._paging.catch_up(self._alerts.values(), now_ms), now_ms)
        for event in self._acknowledgements.values():
            outputs += self._acknowledge(event, now_ms)
        self._acknowledgements = {}
        self._alerts = {alert.incident_key: alert for alert in self.open_alerts}
        return outputs

    def on_flush(self, flush: Flush, at_ms: int, now_ms: int) -> list[Output]:
        """Judge every rule on every window the flush changed. at_ms: the timestamp of its record."""
        return self._act(self._judge.flush(flush, at_ms), now_ms)

    def on_reading(self, reading: Reading, now_ms: int) -> list[Output]:
        """Take in what ClickHouse answered to one of `questions`; it is put on record first, so that it can be replayed."""
        record = reading_to_decision(reading, digest("reading", reading.question_id, to_ms(reading.window_to)))
        return [record, *self._act(self._judge.reading(reading), now_ms)]

    def on_tick(self, now_ms: int) -> list[Output]:
        """Judge what the clock judges, and do what is due. Call it several times a second."""
        outputs = self._act(self._judge.tick(now_ms), now_ms)
        outputs += self._heard(self._paging.tick(now_ms), now_ms)
        outputs += self._repeat(now_ms)
        return outputs

    def on_command(self, command: Command, now_ms: int) -> list[Output]:
        """Obey; a command about an incident that is unknown or over, or that was obeyed before, does nothing."""
        return self._heard(self._paging.command(command, now_ms), now_ms)

    def questions(self, now_ms: int) -> list[Question]:
        """What is to be asked of ClickHouse now; each is returned once, and answered by `on_reading`, or never."""
        return self._judge.questions(now_ms)

    def attach(self, incident_key: str, context: Context) -> None:
        """Whatever is said later of the incident carries `context`."""
        place = self._places.get(incident_key)
        if place is None:
            return
        state = lifecycle.attach(self._lifecycles[place], context)
        self._lifecycles[place] = state
        if state.open is not None:
            self._alerts[incident_key] = state.open
        self._paging.attach(incident_key, context)

    def _restore(self, history: History) -> None:
        self._lifecycles = restore_lifecycles(history.alerts, self.rules)
        for place, state in self._lifecycles.items():
            if state.open is not None:
                self._places[state.open.incident_key] = place
                self._alerts[state.open.incident_key] = state.open
                self._judge.watch(*place, from_ms=state.opened_ms)  # before, it was looked at when something came for it
        ended = [(place, state.over[-1].last_ms) for place, state in self._lifecycles.items() if state.over]
        self._ended_ms = dict(sorted(ended, key=lambda of_place: of_place[1]))
        for published_ms, alert in sorted(history.alerts, key=lambda record: record[0]):
            if alert.incident_key in self._places:
                self._note_published(alert.incident_key, published_ms)
        self._paging.restore(history.escalations, history.commands, self._alerts.values())

    def _learn(self, judgements: Iterable[Judgement], at_ms: int) -> None:
        for judgement in judgements:
            place = (judgement.rule.name, judgement.series)
            before = self._lifecycles.get(place, _INACTIVE)
            judged = self._on_enough(before, judgement)
            after = lifecycle.observe(before, judged)
            self._keep(place, before, after)
            for _ in self._ledger.follow(Look(judged, after), at_ms):
                pass

    def _act(self, judgements: Iterable[Judgement], now_ms: int) -> list[Output]:
        outputs: list[Output] = []
        for judgement in judgements:
            place = (judgement.rule.name, judgement.series)
            before = self._lifecycles.get(place, _INACTIVE)
            judged = self._on_enough(before, judgement)
            after, alert = lifecycle.step(before, judged, now_ms)
            self._keep(place, before, after)
            if alert is not None:
                outputs += self._publish(alert, now_ms)
            outputs += self._ledger.follow(Look(judged, after), now_ms)
        return outputs

    def _on_enough(self, state: Lifecycle, judgement: Judgement) -> Judgement:
        """With too few events for a verdict, an incident may also end on all that came since it was last true."""
        if state.open is None or judgement.held_by != "n" or not lifecycle.ends_incident(state, judgement):
            return judgement
        window_to_ms, judged_to_ms = judgement.window_to_ms, judgement.judged_to_ms
        since = self._judge.look_since(judgement.rule, judgement.series, state.last_true_ms + 1, window_to_ms, judged_to_ms)
        return judgement if since.verdict == "unknown" else since

    def _keep(self, place: Place, before: Lifecycle, after: Lifecycle) -> None:
        if after is before:
            return
        self._lifecycles[place] = after
        if after.state != "inactive" and (before.state == "inactive" or before.unseen):
            self._judge.watch(*place)
        elif before.state != "inactive" == after.state:
            self._judge.unwatch(*place)
        if after.open is not None:
            self._places[after.open.incident_key] = place
        elif before.open is not None:
            self._forget_what_is_long_over(place, after.over[-1].last_ms)
        elif after == _INACTIVE:
            del self._lifecycles[place]

    def _forget_what_is_long_over(self, ended: Place, ended_ms: int) -> None:
        self._ended_ms.pop(ended, None)
        self._ended_ms[ended] = ended_ms
        while (longest_over := next(iter(self._ended_ms))) != ended and self._ended_ms[longest_over] <= ended_ms - SPANS_KEPT_MS:
            del self._ended_ms[longest_over]
            if self._lifecycles[longest_over].state == "inactive":
                del self._lifecycles[longest_over]

    def _publish(self, alert: Alert, now_ms: int) -> list[Output]:
        key = alert.incident_key
        if alert.state in OPEN_STATES:
            self._alerts[key] = alert
            self._note_published(key, now_ms)
        else:
            self._alerts.pop(key, None)
            self._published_ms.pop(key, None)
            self._places.pop(key, None)
        return [alert, *self._heard(self._paging.alert(alert, now_ms), now_ms)]

    def _note_published(self, key: str, now_ms: int) -> None:
        self._published_ms.pop(key, None)
        self._published_ms[key] = now_ms

    def _heard(self, said: Iterable[Escalation | Decision], now_ms: int) -> list[Output]:
        """What paging says, and the alerts that follow from it."""
        outputs: list[Output] = []
        for output in said:
            outputs.append(output)
            if isinstance(output, Escalation):
                outputs += self._acknowledge(output, now_ms)
        return outputs

    def _acknowledge(self, event: Escalation, now_ms: int) -> list[Output]:
        place = self._places.get(event.incident_key)
        if place is None or event.event not in {"acked", "unacked"}:
            return []
        turn = lifecycle.acknowledge if event.event == "acked" else lifecycle.unacknowledge
        order = Order(event.actor, event.command_id or event.escalation_id)
        self._lifecycles[place], alert = turn(self._lifecycles[place], place[1], order, now_ms)
        return [] if alert is None else self._publish(alert, now_ms)

    def _repeat(self, now_ms: int) -> Iterator[Output]:
        """Open incidents that were published a day ago, unchanged."""
        due = []
        for key, published_ms in self._published_ms.items():
            if now_ms - published_ms < REPEAT_AFTER_MS:
                break
            due.append(key)
        for key in due:
            self._note_published(key, now_ms)
            yield self._alerts[key]


def muted_ms(rules: Iterable[Rule]) -> int:
    """How far back flushes are to be observed, from the first one that is acted on: for `for` that is not over, and for the ledger."""
    return max([FORGOTTEN_AFTER_MS, *(rule.for_ms for rule in rules)]) + _SLACK_MS
