"""Every topic and its settings: the one place topics are created from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from schemas.partitioning import EVENT_PARTITIONS

PREFIX: Final = "nutricoach.telemetry."

_DAY_MS: Final = 86_400_000
_EVENT_BYTES: Final = 1_048_576


@dataclass(frozen=True, slots=True)
class Topic:
    """`retention_ms` of delete-cleanup; `config` is added to it as Kafka's own topic settings."""

    name: str
    partitions: int
    retention_ms: int
    key: str
    config: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """Kafka topic settings, strings both ways."""
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **self.config}


EVENTS: Final = Topic(
    PREFIX + "events.v1",
    EVENT_PARTITIONS,  # fixed: another number would move every key
    7 * _DAY_MS,
    "user_id, else session_id, else event_id",
    {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(_EVENT_BYTES)},
)
# Headers come on top of the original bytes, so a record the source took must always fit.
DLQ: Final = Topic(PREFIX + "dlq.v1", 1, 14 * _DAY_MS, "original key", {"max.message.bytes": str(2 * _EVENT_BYTES)})
PANES: Final = Topic(PREFIX + "panes.v1", 1, 3 * _DAY_MS, "source partition", {"max.message.bytes": str(2 * _EVENT_BYTES)})
ALERTS: Final = Topic(PREFIX + "alerts.v1", 1, 90 * _DAY_MS, "incident_key")
ESCALATIONS: Final = Topic(PREFIX + "escalations.v1", 1, 90 * _DAY_MS, "incident_key")
DELIVERIES: Final = Topic(PREFIX + "deliveries.v1", 1, 90 * _DAY_MS, "incident_key")
DECISIONS: Final = Topic(PREFIX + "decisions.v1", 1, 30 * _DAY_MS, "rule")
COMMANDS: Final = Topic(PREFIX + "commands.v1", 1, 90 * _DAY_MS, "incident_key or silence_id")

TOPICS: Final = (EVENTS, DLQ, PANES, ALERTS, ESCALATIONS, DELIVERIES, DECISIONS, COMMANDS)
