"""An engine over recorded flushes, readings and commands, on a clock that their timestamps move. Pure.

It is the engine that the alerter runs, called as the alerter calls it; only the time of day is what the log says it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from alerting.config.load import AlertingConfig
from alerting.engine.engine import Engine, Output, muted_ms
from alerting.engine.history import History
from alerting.engine.judge import lookback_ms
from schemas.command import Command
from schemas.decision import Reading
from schemas.pane import Flush

#: The alerter looks at the time after each flush, and as often as this while none comes.
TICK_MS: Final = 200


@dataclass(slots=True)
class Replay:
    """Fed flushes and readings in the order of the log; `said` is what would have been published from `from_ms` on, with the time in ms.

    Flushes before `judged_from_ms` are remembered only. Between it and `from_ms` rules are judged, so that what was pending or open when
    the period begins is; what is said of that time is in `before`.

    complete_from_ms: event time from which on no pane is missing in what is fed; 0 when the log begins with the first flush ever.
    commands: all there are, each with the timestamp of its record in ms; a silence may have been asked for long before.
    """

    name: str
    config: AlertingConfig
    from_ms: int
    complete_from_ms: int = 0
    commands: Sequence[tuple[int, Command]] = ()
    said: list[tuple[int, Output]] = field(default_factory=list)
    before: list[tuple[int, Output]] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    judged_from_ms: int = field(init=False)
    _engine: Engine = field(init=False)
    _to_come: deque[tuple[int, Command]] = field(init=False)
    _now_ms: int | None = None

    def __post_init__(self) -> None:
        config = self.config
        self.judged_from_ms = self.from_ms - muted_ms(config.rules)
        history = History(commands=[command for at_ms, command in self.commands if at_ms < self.judged_from_ms])
        self._engine = Engine(config.rules, config.policy, config.routing, history=history, complete_from_ms=self.complete_from_ms)
        self._to_come = deque((at_ms, command) for at_ms, command in self.commands if at_ms >= self.judged_from_ms)

    def flush(self, flush: Flush, at_ms: int) -> None:
        """at_ms: the timestamp of the flush's record."""
        if at_ms < self.judged_from_ms:
            self._engine.remember(flush, at_ms)
            return
        self._advance(at_ms)
        now_ms = self._now(at_ms)
        self._say(now_ms, self._engine.on_flush(flush, at_ms, now_ms))

    def reading(self, reading: Reading, at_ms: int) -> None:
        """at_ms: when the alerter took it in. One that came long before is taken in, too: it may hold for an hour."""
        self.answered.add(reading.question_id)
        if at_ms < self.judged_from_ms:
            self._engine.observe_reading(reading, at_ms)
            return
        self._advance(at_ms)
        now_ms = self._now(at_ms)
        self._say(now_ms, self._engine.on_reading(reading, now_ms))

    def end(self, to_ms: int) -> None:
        """Let the time go by until `to_ms`: nothing comes any more."""
        self._advance(to_ms)

    @property
    def unanswered(self) -> list[str]:
        """Questions of these rules to ClickHouse to which no answer is recorded: terms that rest on them are unknown."""
        return sorted(self.asked - self.answered)

    def _now(self, at_ms: int) -> int:
        """Timestamps of several workers are not in order; the time of day is."""
        assert self._now_ms is not None
        return max(at_ms, self._now_ms)

    def _advance(self, to_ms: int) -> None:
        """Obey what people asked for until `to_ms`, and look at the time meanwhile."""
        while self._to_come and self._to_come[0][0] <= to_ms:
            at_ms, command = self._to_come.popleft()
            self._tick_until(at_ms)
            now_ms = self._now(at_ms)
            self._say(now_ms, self._engine.on_command(command, now_ms))
        self._tick_until(to_ms)

    def _tick_until(self, to_ms: int) -> None:
        if self._now_ms is None:
            self._now_ms = to_ms
            self._say(to_ms, self._engine.catch_up(to_ms))
        while (next_ms := (self._now_ms // TICK_MS + 1) * TICK_MS) <= to_ms:
            self._now_ms = next_ms
            self._tick(next_ms)
        self._now_ms = max(self._now_ms, to_ms)

    def _tick(self, now_ms: int) -> None:
        self.asked.update(question.question_id for question in self._engine.questions(now_ms))
        self._keep(now_ms, self._engine.on_tick(now_ms))

    def _say(self, now_ms: int, outputs: list[Output]) -> None:
        self._keep(now_ms, outputs)
        self._keep(now_ms, self._engine.on_tick(now_ms))

    def _keep(self, now_ms: int, outputs: list[Output]) -> None:
        (self.said if now_ms >= self.from_ms else self.before).extend((now_ms, output) for output in outputs)


def first_flush_ms(config: AlertingConfig, from_ms: int) -> int:
    """The timestamp from which on a replay of the period that begins at `from_ms` needs flushes."""
    return from_ms - muted_ms(config.rules) - lookback_ms(config.rules)
