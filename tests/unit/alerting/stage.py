"""An engine with shipped rules on a clock moved by hand, and what it has said."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from alerting.config.load import load_config
from alerting.engine.engine import Engine, Output
from alerting.engine.history import History
from schemas.alert import Alert
from schemas.command import Ack, Command, Unack
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.pane import Flush
from schemas.timestamps import from_ms
from tests.unit.alerting.traffic import Source, now_at, sources

CONFIG = load_config()
MENUS = "Menu Generation Critical"
STALLED = "pipeline_stalled"


def new_engine(
    history: History | None = None, *, partitions: int = 12, complete_from_s: float | None = None, only: Collection[str] = (MENUS, STALLED)
) -> Engine:
    """With the shipped rules of these names."""
    complete_from_ms = 0 if complete_from_s is None else now_at(complete_from_s)
    rules = [rule for rule in CONFIG.rules if rule.name in only]
    return Engine(rules, CONFIG.policy, CONFIG.routing, history=history, partitions=partitions, complete_from_ms=complete_from_ms)


@dataclass
class Stage:
    """`sources` make the flushes; `said` is everything published so far, in order; `flushes` everything read."""

    engine: Engine = field(default_factory=new_engine)
    sources: list[Source] = field(default_factory=sources)
    said: list[Output] = field(default_factory=list)
    flushes: list[Flush] = field(default_factory=list)

    def start(self, at_s: float = 0.0) -> Stage:
        self.said += self.engine.catch_up(now_at(at_s))
        return self

    def flush(self, at_s: float, only: Iterable[int] | None = None) -> list[Output]:
        """Every partition (or `only` some) flushes as caught up at `at_s`; returns what that made the engine say."""
        before = len(self.said)
        for partition in range(len(self.sources)) if only is None else only:
            flush = self.sources[partition].flush(caught_up_s=at_s)
            self.flushes.append(flush)
            self.said += self.engine.on_flush(flush, now_at(at_s), now_at(at_s))
        return self.said[before:]

    def tick(self, at_s: float) -> list[Output]:
        outputs = self.engine.on_tick(now_at(at_s))
        self.said += outputs
        return outputs

    def command(self, command: Command, at_s: float) -> list[Output]:
        outputs = self.engine.on_command(command, now_at(at_s))
        self.said += outputs
        return outputs

    def history(self) -> History:
        """What the topics hold, were all that was said published when it was said."""
        alerts = [(now_at(0), output) for output in self.said if isinstance(output, Alert)]
        escalations = [output for output in self.said if isinstance(output, Escalation)]
        return History(alerts, escalations)

    def healthy_minute(self, until_s: int = 50, per_pane: int = 960) -> Stage:
        """`per_pane` good menus in every pane from 0 to `until_s`, spread evenly, flushed pane by pane."""
        for pane in range(0, until_s, 10):
            for source in self.sources:
                source.menus(pane + 5, per_pane // len(self.sources))
            self.flush(pane + 9.9)
        return self


def alerts(outputs: Iterable[Output], rule: str = MENUS) -> list[Alert]:
    return [output for output in outputs if isinstance(output, Alert) and output.rule == rule]


def states(outputs: Iterable[Output], rule: str = MENUS) -> list[str]:
    return [alert.state for alert in alerts(outputs, rule)]


def pages(outputs: Iterable[Output]) -> list[tuple[str, int | None, str | None]]:
    """(event, step, target) of every escalation event."""
    return [(output.event, output.step, output.target) for output in outputs if isinstance(output, Escalation)]


def verdicts(outputs: Iterable[Output], rule: str = MENUS) -> list[tuple[str, str | None, str]]:
    """(verdict, previous, reason) of every change of the rule's verdict."""
    rows = [output for output in outputs if isinstance(output, Decision) and (output.kind, output.rule) == ("verdict", rule)]
    return [(row.verdict, row.previous, row.reason) for row in rows]


def ack(incident_key: str, at_s: float, *, by: str = "alice", command_id: str = "c-1") -> Ack:
    return Ack(command_id=command_id, at=from_ms(now_at(at_s)), by=by, incident_key=incident_key)


def unack(incident_key: str, at_s: float, *, command_id: str = "c-2") -> Unack:
    return Unack(command_id=command_id, at=from_ms(now_at(at_s)), by="bob", incident_key=incident_key)
