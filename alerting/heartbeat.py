"""The sign of life of the alerter that acts: a decision of its own every 15 s, so that its silence can be heard from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from alerting import metrics
from alerting.engine.identity import digest
from schemas.alert import Alert
from schemas.decision import Decision
from schemas.escalation import Escalation
from schemas.timestamps import from_ms, to_ms

#: Its rule on `decisions.v1`; who listens waits for several of them before they cry.
WATCHDOG: Final = "watchdog"
INTERVAL_MS: Final = 15_000


class Heartbeat:
    """Says when the next one is due; a new alerter begins with one."""

    def __init__(self) -> None:
        self._due_ms = 0

    def due(self, now_ms: int) -> Decision | None:
        """The heartbeat to publish, if it is time."""
        return None if now_ms < self._due_ms else heartbeat(now_ms)

    def published(self, outputs: Iterable[Alert | Escalation | Decision]) -> None:
        """Kafka has `outputs`: a heartbeat among them counts from now on."""
        for output in outputs:
            if isinstance(output, Decision) and output.kind == "heartbeat":
                at_ms = to_ms(output.at)
                self._due_ms = at_ms + INTERVAL_MS
                metrics.HEARTBEAT.set(at_ms / 1000)


def heartbeat(at_ms: int) -> Decision:
    """The record of `decisions.v1` that says that an alerter acted at `at_ms`."""
    return Decision(
        decision_id=digest(WATCHDOG, at_ms),
        rule=WATCHDOG,
        kind="heartbeat",
        at=from_ms(at_ms),
        verdict="false",
        previous=None,
        reason="an alerter acts",
        incident_key=None,
        window_from=None,
        window_to=None,
        judged_to=None,
        terms=(),
        gates=(),
    )
