"""What is judged: the topics as anybody can read them, and what the receivers wrote down."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import orjson

from schemas.alert import Alert, parse_alert
from schemas.delivery import FINAL_OUTCOMES, Delivery, parse_delivery
from schemas.escalation import Escalation, parse_escalation
from schemas.topics import ALERTS, DELIVERIES, ESCALATIONS, PREFIX
from tests.chaos.alerting.attack import Sleep
from tests.chaos.alerting.receivers import Ask
from tests.chaos.alerting.role import SIGNED
from tests.chaos.alerting.script import Incident
from tests.chaos.oracle_kafka import read_topic

_LOOK_S: Final = 1.0
_LOOKS: Final = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """A record: what it says, and which process wrote it."""

    offset: int
    at_ms: int
    process: str
    value: T


@dataclass(frozen=True, slots=True)
class Read:
    """`process` had read `topic` below `offset` at that time, before it went on."""

    process: str
    topic: str
    offset: int
    at_ms: int


@dataclass
class World:
    """messages: what stands at Slack, by ts; acks: when somebody acknowledged, by incident."""

    incidents: list[Incident]
    alerts: list[Said[Alert]] = field(default_factory=list)
    escalations: list[Said[Escalation]] = field(default_factory=list)
    deliveries: list[Said[Delivery]] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    acks: dict[str, int] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    sleeps: list[Sleep] = field(default_factory=list)
    unquiet: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Topics:
    """The three that are judged."""

    alerts: list[Said[Alert]]
    escalations: list[Said[Escalation]]
    deliveries: list[Said[Delivery]]


async def read_topics(kafka: str) -> Topics:
    """Whole, in order."""
    return Topics(
        await _said(kafka, ALERTS.name, parse_alert),
        await _said(kafka, ESCALATIONS.name, parse_escalation),
        await _said(kafka, DELIVERIES.name, parse_delivery),
    )


async def at_rest(kafka: str, incidents: Iterable[Incident], deadline_s: float) -> tuple[Topics, list[str]]:
    """Everything, once all is over and nothing moves any more; and what still did at the deadline."""
    deadline, seen = time.monotonic() + deadline_s, list[Hashable]()
    while True:
        topics = await read_topics(kafka)
        restless = restless_of(topics, incidents)
        seen = [*seen[-_LOOKS + 1 :], (len(topics.alerts), len(topics.escalations), len(topics.deliveries))]
        if not restless and len(seen) == _LOOKS and len(set(seen)) == 1:
            return topics, []
        if time.monotonic() > deadline:
            return topics, restless or ["the topics still grow"]
        await asyncio.sleep(_LOOK_S)


def restless_of(topics: Topics, incidents: Iterable[Incident]) -> list[str]:
    """What is not over."""
    resolved = {_name(said.value) for said in topics.alerts if said.value.state == "resolved"}
    found = [f"{one.rule} of {one.series} is not resolved on alerts.v1" for one in incidents if one.name not in resolved]
    over = {said.value.incident_key for said in topics.escalations if said.value.event == "resolved"}
    opened = {said.value.incident_key for said in topics.escalations}
    found += [f"the escalation of {key[:12]} is not over" for key in sorted(opened - over)]
    last: dict[str, Delivery] = {}
    for delivery in topics.deliveries:
        if delivery.value.delivery_id not in last or last[delivery.value.delivery_id].outcome not in FINAL_OUTCOMES:
            last[delivery.value.delivery_id] = delivery.value
    waiting = [one for one in last.values() if one.outcome not in FINAL_OUTCOMES]
    return found + [f"{one.action} of {one.incident_key[:12]} for {one.receiver} is {one.outcome}: {one.reason}" for one in waiting]


def series_of(alert: Alert) -> str:
    """The value of the one label of its rule."""
    return alert.labels.get("host") or alert.labels.get("api") or ""


def read_traces(folder: Path) -> list[Read]:
    """What processes wrote down about what they had read."""
    found = []
    for path in sorted(folder.glob("*.ndjson")):
        for line in path.read_bytes().splitlines():
            said = orjson.loads(line)
            found.append(Read(path.stem, said["topic"], said["offset"], said["at_ms"]))
    return sorted(found, key=lambda read: read.at_ms)


def by(values: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Grouped, each group in order."""
    groups: dict[str, list[T]] = defaultdict(list)
    for value in values:
        groups[key(value)].append(value)
    return groups


def firsts(records: Iterable[Said[T]], key: Callable[[T], str]) -> list[Said[T]]:
    """As readers of these topics take them: of several records that say the same the first one, in order."""
    first: dict[str, Said[T]] = {}
    for said in records:
        first.setdefault(key(said.value), said)
    return list(first.values())


def _name(alert: Alert) -> tuple[str, str]:
    return alert.rule, series_of(alert)


async def _said(kafka: str, topic: str, parse: Callable[[bytes], T]) -> list[Said[T]]:
    assert topic.startswith(PREFIX)
    return [
        Said(record.offset, record.timestamp_ms, record.header(SIGNED) or "", parse(record.value or b""))
        for record in await read_topic(kafka, topic)
    ]
