"""The alert engine: flushes, commands and the time of day in; alerts, escalation events and decisions out. No I/O and no clock.

The same object runs in the alerter, on a test's clock and over recorded flushes. What it returns is to be published in that order;
if that fails, the engine is to be thrown away and another one restored from what the topics say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from alerting.engine import escalation, lifecycle, verdicts
from alerting.engine.board import Board
from alerting.engine.escalation import Chains, EscalationState
from alerting.engine.evaluate import judge, judge_flush_age, judge_span
from alerting.engine.evidence import Judgement
from alerting.engine.identity import digest
from alerting.engine.quantity import LONGEST_PANE_WINDOW_MS as LONGEST_WINDOW_MS
from alerting.engine.rule import Rule
from alerting.engine.verdicts import VerdictTrack
from schemas.alert import OPEN_STATES, Alert
from schemas.command import Ack, Command, Reassign, Silence, Unack, Unsilence
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.pane import PANE_MS, Flush
from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import from_ms, to_ms

Output = Alert | Escalation | Decision

#: Open incidents are published again after so long, for readers that start late.
REPEAT_AFTER_MS: Final = 86_400_000


@dataclass(slots=True)
class History:
    """What the topics say, each list in the order of its topic; `published_ms` is the Kafka timestamp of an alert's record."""

    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Engine:
    """Restored from `history`; then `remember` and `observe` what an earlier engine has acted on, `catch_up`, and then the `on_…` calls.

    complete_from_ms: event time from which on no pane is missing in the flushes that are remembered.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        chains: Chains,
        *,
        history: History | None = None,
        partitions: int = EVENT_PARTITIONS,
        complete_from_ms: int = 0,
    ) -> None:
        history = history or History()
        self.rules = {rule.name: rule for rule in rules}
        self.chains = chains
        self.board = Board(metrics_of(rules), partitions, complete_from_ms)
        self.alerts: dict[str, Alert] = {}  # the newest state of every incident, by key
        self.escalations: dict[str, EscalationState] = {}
        self._published_ms: dict[str, int] = {}
        self._lifecycles = {rule.name: lifecycle.restore([a for _, a in history.alerts if a.rule == rule.name], rule) for rule in rules}
        self._tracks: dict[str, VerdictTrack] = {rule.name: VerdictTrack() for rule in rules}
        self._suppressed: set[str] = set()
        self._silences: dict[str, Silence] = {}
        self._not_obeyed: list[Command] = []
        self._flushed_ms: dict[int, int] = {}
        self._listening_since_ms = 0
        self._restore(history)

    @property
    def open_alerts(self) -> list[Alert]:
        """Incidents that are not over."""
        return [alert for alert in self.alerts.values() if alert.state in OPEN_STATES]

    def remember(self, flush: Flush) -> None:
        """Put a flush on the board that is so old that what it made true has ended or been heard of since."""
        self.board.fold(flush)
        self.board.take_touched(flush.source_partition)

    def observe(self, flush: Flush) -> None:
        """Learn from a flush that an earlier engine has acted on."""
        for rule, judgement in self._looks(flush):
            self._lifecycles[rule.name] = lifecycle.observe(self._lifecycles[rule.name], judgement)

    def catch_up(self, now_ms: int) -> list[Output]:
        """What an earlier engine should still have published when it ended; from now on time may act. Call once, after `observe`."""
        self._listening_since_ms = now_ms
        outputs: list[Output] = []
        for alert in self.open_alerts:
            if alert.rule not in self.rules:
                outputs += self._publish(_withdrawn(alert, now_ms), now_ms)
            elif alert.state == "firing" and alert.incident_key not in self.escalations:
                outputs += self._escalate(alert, now_ms)
        for key, state in list(self.escalations.items()):
            alert = self.alerts.get(key, state.alert)
            if alert.state not in OPEN_STATES:
                outputs += self._fold(escalation.resolving(state, alert, now_ms))
        for command in self._not_obeyed:
            outputs += self.on_command(command, now_ms)
        return outputs + self.on_tick(now_ms)

    def on_flush(self, flush: Flush, now_ms: int) -> list[Output]:
        """Judge every rule on every window the flush changed."""
        self._flushed_ms[flush.source_partition] = now_ms
        outputs: list[Output] = []
        for rule, judgement in self._looks(flush):
            outputs += self._step(rule, judgement, now_ms)
        return outputs

    def on_tick(self, now_ms: int) -> list[Output]:
        """Judge what the clock judges, and do what is due. Call it several times a second."""
        outputs: list[Output] = []
        flushed_ms = [self._flushed_ms.get(partition) for partition in self.board.partitions]
        for rule in (rule for rule in self.rules.values() if rule.watches_pipeline):
            outputs += self._step(rule, judge_flush_age(rule, flushed_ms, self._listening_since_ms, now_ms, self.board), now_ms)
        for state in list(self.escalations.values()):
            outputs += self._due(state, now_ms)
        for alert in self.open_alerts:
            if now_ms - self._published_ms.get(alert.incident_key, 0) >= REPEAT_AFTER_MS:
                self._published_ms[alert.incident_key] = now_ms
                outputs.append(alert)
        return outputs

    def on_command(self, command: Command, now_ms: int) -> list[Output]:
        """Obey; a command about an incident that is unknown or over, or that was obeyed before, does nothing."""
        if isinstance(command, Silence | Unsilence):
            self._silence(command)
            return []
        state = self.escalations.get(command.incident_key)
        if state is None:
            return []
        match command:
            case Ack():
                return self._fold(escalation.acknowledging(state, command, now_ms))
            case Unack():
                return self._fold(escalation.unacknowledging(state, command, now_ms))
            case Reassign():
                return self._fold(escalation.reassigning(state, command, now_ms))

    def _restore(self, history: History) -> None:
        seen: set[str] = set()
        for published_ms, alert in history.alerts:
            self._published_ms[alert.incident_key] = published_ms
            if alert.transition_id not in seen:
                self.alerts[alert.incident_key] = alert
            seen.add(alert.transition_id)
        for event in history.escalations:
            self.escalations[event.incident_key] = escalation.fold(self.escalations.get(event.incident_key), event)
        for decision in history.decisions:
            if decision.kind == "suppression":
                self._suppressed.add(decision.decision_id)
            else:
                self._tracks[decision.rule] = verdicts.restore_track(decision)
        for command in history.commands:
            if isinstance(command, Silence | Unsilence):
                self._silence(command)
        self._not_obeyed = _not_obeyed(history.commands, self.escalations)

    def _looks(self, flush: Flush) -> Iterator[tuple[Rule, Judgement]]:
        """Fold a flush; if it says how far its partition is, look at every window the partition changed, oldest first."""
        self.board.fold(flush)
        reached_ms = self.board.effective_watermark_ms(flush.source_partition)
        if reached_ms is None or (flush.watermark is None and flush.caught_up_at is None):
            return  # a part of a flush, or a repair: the rest, or the next flush, carries the watermark
        touched = self.board.take_touched(flush.source_partition)
        for rule in (rule for rule in self.rules.values() if not rule.watches_pipeline):
            for window_to_ms in windows_to_judge(touched, reached_ms, rule.longest_window_ms):
                if window_to_ms - rule.longest_window_ms >= self.board.complete_from_ms:
                    yield rule, self._look(rule, window_to_ms, min(window_to_ms, reached_ms))

    def _look(self, rule: Rule, window_to_ms: int, judged_to_ms: int) -> Judgement:
        judgement, state = judge(rule, self.board, window_to_ms, judged_to_ms), self._lifecycles[rule.name]
        if state.open is None or judgement.held_by != "n" or not lifecycle.ends_incident(state, rule, judged_to_ms):
            return judgement
        # Too few events for a verdict: an incident may also end on all that came since it was last true.
        complete_from_ms = -(-self.board.complete_from_ms // PANE_MS) * PANE_MS
        from_ms = max(state.last_true_ms // PANE_MS * PANE_MS + PANE_MS, window_to_ms - LONGEST_WINDOW_MS, complete_from_ms)
        since = judge_span(rule, self.board, from_ms, window_to_ms, judged_to_ms)
        return judgement if since.verdict == "unknown" else since

    def _step(self, rule: Rule, judgement: Judgement, now_ms: int) -> list[Output]:
        self._lifecycles[rule.name], alert = lifecycle.step(self._lifecycles[rule.name], rule, judgement, now_ms)
        outputs = [] if alert is None else self._publish(alert, now_ms)
        if alert is not None or not rule.watches_pipeline:
            self._tracks[rule.name], decision = verdicts.follow(self._tracks[rule.name], rule.name, judgement, alert, now_ms)
            outputs += [] if decision is None else [decision]
        return outputs

    def _publish(self, alert: Alert, now_ms: int) -> list[Output]:
        self.alerts[alert.incident_key] = alert
        self._published_ms[alert.incident_key] = now_ms
        if alert.state == "firing":
            return [alert, *self._escalate(alert, now_ms)]
        state = self.escalations.get(alert.incident_key)
        if alert.state == "resolved" and state is not None:
            return [alert, *self._fold(escalation.resolving(state, alert, now_ms))]
        return [alert]

    def _escalate(self, alert: Alert, now_ms: int) -> list[Output]:
        opened = self._fold(escalation.opening(alert, self.chains, now_ms))
        return opened + self._due(self.escalations[alert.incident_key], now_ms)

    def _due(self, state: EscalationState, now_ms: int) -> list[Output]:
        events = escalation.due(state, now_ms)
        silence = next((s for s in self._silences.values() if s.rule == state.alert.rule and to_ms(s.until) > now_ms), None)
        if silence is None or not events:
            return self._fold(events)
        held_back = [verdicts.suppression(state.alert, step, silence, now_ms) for step in state.plan if to_ms(step.due_at) <= now_ms]
        news = [decision for decision in held_back if decision.decision_id not in self._suppressed]
        self._suppressed |= {decision.decision_id for decision in news}
        return [*news]

    def _fold(self, events: Iterable[Escalation]) -> list[Output]:
        outputs: list[Output] = []
        for event in events:
            self.escalations[event.incident_key] = escalation.fold(self.escalations.get(event.incident_key), event)
            outputs.append(event)
        return outputs

    def _silence(self, command: Silence | Unsilence) -> None:
        if isinstance(command, Silence):
            self._silences[command.silence_id] = command
        else:
            self._silences.pop(command.silence_id, None)


def metrics_of(rules: Iterable[Rule]) -> frozenset[str]:
    """The metrics whose panes the rules need."""
    return frozenset(c.quantity.metric.name for rule in rules for c in rule.condition.comparisons if c.quantity.metric is not None)


def windows_to_judge(touched_starts: Iterable[int], reached_ms: int, window_ms: int) -> list[int]:
    """Ends of the windows that hold a changed pane, up to the pane that is open at `reached_ms`, which is always judged."""
    open_end_ms = reached_ms // PANE_MS * PANE_MS + PANE_MS
    ends = {open_end_ms}
    for start in touched_starts:
        ends.update(range(start + PANE_MS, min(start + window_ms, open_end_ms) + 1, PANE_MS))
    return sorted(ends)


def _not_obeyed(commands: Iterable[Command], escalations: dict[str, EscalationState]) -> list[Command]:
    """Commands on incidents that nobody has looked at: those after the last one that was obeyed, per incident."""
    pending: dict[str, list[Command]] = {}
    for command in commands:
        if isinstance(command, Silence | Unsilence):
            continue
        state = escalations.get(command.incident_key)
        if state is not None and command.command_id in state.commands:
            pending[command.incident_key] = []
        else:
            pending.setdefault(command.incident_key, []).append(command)
    return [command for of_incident in pending.values() for command in of_incident]


def _withdrawn(alert: Alert, now_ms: int) -> Alert:
    """The end of an incident whose rule is not in the files any more; its numbers stay the last ones."""
    state = "resolved" if alert.state == "firing" else "retro_cleared"
    return alert.model_copy(
        update={
            "transition_id": digest(alert.incident_key, state),
            "state": state,
            "at": from_ms(now_ms),
            "summary": f"{alert.rule} is resolved: the rule is gone",
            "reason": "the rule is not in the rule files any more",
        }
    )
