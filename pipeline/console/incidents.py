"""What the console knows of incidents: the newest state of each, read from `alerts.v1` and followed.

From Kafka rather than ClickHouse: a page or a button that has just been sent must be known already, and both are looked at when something
is broken, which may be ClickHouse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from pipeline.console import metrics
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.topic_tail import TopicTail, read_to_end
from pipeline.runtime.waiting import Waiting
from schemas.alert import OPEN_STATES, Alert, AlertState, Severity, parse_alert
from schemas.topics import ALERTS

log = structlog.get_logger(__name__)

_AGAIN_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """What people are shown of one; the alert itself, with its evidence, is some twenty times as large."""

    incident_key: str
    rule: str
    severity: Severity
    state: AlertState
    since: datetime
    at: datetime
    summary: str
    labels: Mapping[str, str]
    owner: str
    runbook: str

    @classmethod
    def of(cls, alert: Alert) -> OpenIncident:
        return cls(
            alert.incident_key,
            alert.rule,
            alert.severity,
            alert.state,
            alert.since,
            alert.at,
            alert.summary,
            alert.labels,
            alert.owner,
            alert.runbook,
        )


class Incidents:
    """The fold of `alerts.v1`; a transition that is repeated does not bring back an older state."""

    def __init__(self) -> None:
        self.open: dict[str, OpenIncident] = {}
        self._known: set[str] = set()
        self._transitions: set[bytes] = set()

    def knows(self, incident_key: str) -> bool:
        """Whether there has been such an incident, open or over."""
        return incident_key in self._known

    def add(self, alert: Alert) -> None:
        transition = bytes.fromhex(alert.transition_id)
        if transition in self._transitions:
            return
        self._transitions.add(transition)
        self._known.add(alert.incident_key)
        if alert.state in OPEN_STATES:
            self.open[alert.incident_key] = OpenIncident.of(alert)
        else:
            self.open.pop(alert.incident_key, None)

    def read(self, record: ConsumerRecord) -> None:
        """Anyone may write to a topic: what cannot be read is nobody's state. The alerter makes a dead letter of it."""
        try:
            self.add(parse_alert(record.value or b""))
        except ValueError as error:
            log.error("record cannot be read, it is skipped", topic=record.topic, offset=record.offset, error=str(error).splitlines()[0])


class IncidentFeed:
    """Keeps `incidents` as `alerts.v1` has them; begins anew whenever it loses the thread."""

    def __init__(self, bootstrap_servers: str, clock: Clock) -> None:
        self.incidents = Incidents()
        self._bootstrap_servers = bootstrap_servers
        self._waiting = Waiting("reading incidents from Kafka", clock)
        self._loaded = False

    def waiting_for(self) -> str | None:
        """What keeps it from knowing all incidents, None when nothing does."""
        if self._waiting.reason is not None:
            return f"Kafka ({self._waiting.reason})"
        return None if self._loaded else "incidents"

    async def run(self) -> None:
        """Read and follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (Stop, RetryAfter, KafkaError) as away:
                self._waiting.goes_on(str(away))
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _follow(self) -> None:
        incidents = Incidents()
        position = await read_to_end(self._bootstrap_servers, ALERTS.name, incidents.read)
        self.incidents, self._loaded = incidents, True
        self._waiting.over()
        self._count()

        async def read(record: ConsumerRecord) -> None:
            incidents.read(record)
            self._count()

        async with TopicTail(self._bootstrap_servers, ALERTS.name, read, from_offset=position) as tail:
            await tail.wait_first()  # until it crashes; `wait` would leave tasks behind when it is cancelled
            reason = tail.crash_reason
        raise reason or Stop(f"{ALERTS.name} is not followed any more")

    def _count(self) -> None:
        metrics.OPEN_INCIDENTS.set(len(self.incidents.open))
