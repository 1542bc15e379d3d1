"""What holds pages back: silences, which people ask for, and inhibitions, by which one open incident speaks for others."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from alerting.engine.escalation import EscalationState
from alerting.engine.identity import digest
from alerting.engine.routing import Inhibition, matches, value_of
from schemas.alert import Alert, Severity
from schemas.command import Silence, Unsilence
from schemas.decision import Decision
from schemas.timestamps import from_ms, isoformat_ms, to_ms

_RANKS: Final[dict[Severity, int]] = {"critical": 0, "high": 1, "medium": 2, "low": 3}
#: (severity, opened, key): an incident is inhibited only by one that comes before it, so there is always one that is not.
_Order = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Hold:
    """`cause` names the silence, or the incident that inhibits; until_ms: when to look again, None for when that incident ends."""

    cause: str
    reason: str
    until_ms: int | None


def rank(severity: Severity) -> int:
    """0 is the worst."""
    return _RANKS[severity]


class Silences:
    """By silence_id; the newest command on each holds."""

    def __init__(self) -> None:
        self._silences: dict[str, Silence] = {}
        self._obeyed: set[str] = set()

    def obey(self, command: Silence | Unsilence) -> None:
        """A command that is repeated does nothing: it may be older than what was said since."""
        if command.command_id in self._obeyed:
            return
        self._obeyed.add(command.command_id)
        if isinstance(command, Silence):
            self._silences[command.silence_id] = command
        else:
            self._silences.pop(command.silence_id, None)

    def known(self, now_ms: int) -> list[Silence]:
        """In force, or to come."""
        for silence in [silence for silence in self._silences.values() if to_ms(silence.until) <= now_ms]:
            del self._silences[silence.silence_id]
        return list(self._silences.values())

    def hold(self, alert: Alert, now_ms: int) -> Hold | None:
        """The silence that lasts longest of those that cover the alert."""
        covering = [silence for silence in self.known(now_ms) if _covers(silence, alert, now_ms)]
        if not covering:
            return None
        silence = max(covering, key=lambda silence: (silence.until, silence.silence_id))
        what = "everything" if silence.rule == "*" else "the rule"
        reason = f"{silence.by} silenced {what} until {isoformat_ms(silence.until)}: {silence.reason}"
        return Hold(silence.silence_id, reason, to_ms(silence.until))


@dataclass(slots=True)
class _Source:
    order: _Order
    rule: str
    key: str
    ended_ms: int | None = None


class Inhibitions:
    """The open incidents that may hold others back, by the values those need to have. They still do for `linger_ms` after their end.

    What a source caused ends some seconds after it; it should not page in between.
    """

    def __init__(self, inhibitions: Sequence[Inhibition], linger_ms: int) -> None:
        self._inhibitions, self._linger_ms = inhibitions, linger_ms
        self._sources: list[dict[tuple[str, ...], dict[str, _Source]]] = [{} for _ in inhibitions]
        self._ended: deque[tuple[int, int, tuple[str, ...], str]] = deque()

    def opened(self, state: EscalationState) -> None:
        """An incident is open."""
        for sources, inhibition in zip(self._sources, self._inhibitions, strict=True):
            if matches(inhibition.source, state.alert):
                source = _Source(_order(state), state.alert.rule, state.alert.incident_key)
                sources.setdefault(_values(inhibition, state.alert), {}).setdefault(source.key, source)

    def closed(self, alert: Alert, at_ms: int) -> bool:
        """An incident is over; whether it had held others back, perhaps."""
        self._drop(at_ms)
        found = False
        for index, inhibition in enumerate(self._inhibitions):
            values = _values(inhibition, alert)
            source = self._sources[index].get(values, {}).get(alert.incident_key)
            if source is not None and source.ended_ms is None:
                source.ended_ms, found = at_ms, True
                self._ended.append((at_ms, index, values, source.key))
        return found

    def hold(self, state: EscalationState, now_ms: int) -> Hold | None:
        """The incident that inhibits this one longest; never itself, nor one that it comes before."""
        best: _Source | None = None
        for sources, inhibition in zip(self._sources, self._inhibitions, strict=True):
            if not sources or not matches(inhibition.target, state.alert):
                continue
            for source in sources.get(_values(inhibition, state.alert), {}).values():
                if source.order < _order(state) and self._holds(source, now_ms) and (best is None or _lasts(source) > _lasts(best)):
                    best = source
        if best is None:
            return None
        until_ms = None if best.ended_ms is None else best.ended_ms + self._linger_ms
        return Hold(best.key, f"{best.rule} ({best.key[:12]}) inhibits it", until_ms)

    def _holds(self, source: _Source, now_ms: int) -> bool:
        return source.ended_ms is None or now_ms < source.ended_ms + self._linger_ms

    def _drop(self, now_ms: int) -> None:
        while self._ended and self._ended[0][0] + self._linger_ms <= now_ms:
            _, index, values, key = self._ended.popleft()
            bucket = self._sources[index].get(values, {})
            bucket.pop(key, None)
            if not bucket:
                self._sources[index].pop(values, None)


def suppression(alert: Alert, what: str, due_ms: int, hold: Hold, now_ms: int) -> Decision:
    """A page that is due is held back; `what` names it, such as `step 0`."""
    return Decision(
        decision_id=digest(alert.incident_key, "suppression", what, due_ms, hold.cause),
        rule=alert.rule,
        kind="suppression",
        at=from_ms(now_ms),
        verdict="true",
        previous="true",
        reason=f"{what} is held back: {hold.reason}",
        incident_key=alert.incident_key,
        window_from=None,
        window_to=None,
        judged_to=None,
        terms=(),
        gates=(),
        labels=alert.labels,
        state=alert.state if alert.state not in {"resolved", "retro_cleared"} else None,
    )


def _covers(silence: Silence, alert: Alert, now_ms: int) -> bool:
    return (
        silence.rule in ("*", alert.rule)
        and (silence.starts_at is None or to_ms(silence.starts_at) <= now_ms)
        and silence.labels.items() <= alert.labels.items()
    )


def _order(state: EscalationState) -> _Order:
    return (rank(state.alert.severity), state.opened_at_ms, state.alert.incident_key)


def _values(inhibition: Inhibition, alert: Alert) -> tuple[str, ...]:
    return tuple(value_of(alert, name) for name in inhibition.equal)


def _lasts(source: _Source) -> tuple[float, _Order]:
    """Later ends are greater, and of those that are open the first one is."""
    rank_, opened_ms, key = source.order
    return (float("inf") if source.ended_ms is None else source.ended_ms, (-rank_, -opened_ms, key))
