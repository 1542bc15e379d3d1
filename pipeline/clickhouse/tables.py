"""The tables that workers write: names, and the columns of a row in the order in which a row is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: JSONCompactEachRow: a row is a JSON array in the order of `columns`. JSONEachRow: a JSON object, of which `columns` are read.
RowFormat = Literal["JSONCompactEachRow", "JSONEachRow"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows written twice, or older ones written later, change nothing that is read from it."""

    name: str
    columns: tuple[str, ...]
    row_format: RowFormat = "JSONCompactEachRow"


def _archive(name: str, *columns: str) -> Table:
    """A topic's records as they came: one JSON object each."""
    return Table(name, columns, "JSONEachRow")


EVENTS_RAW: Final = Table(
    "telemetry.events_raw",
    (
        "event_id",
        "event_type",
        "occurred_at",
        "received_at",
        "service",
        "version",
        "environment",
        "user_id",
        "session_id",
        "trace_id",
        "flags",
        "properties",
        "kafka_partition",
        "kafka_offset",
        "time_clamped",
        "source_name",
        "sent_at",
        "content_hash",
        "bot_reasons",
        "clock_skew_ms",
        "schema_errors",
    ),
)
COUNTED_EVENTS: Final = Table("telemetry.counted_events", ("kafka_partition", "kafka_offset", "event_id", "content_hash", "received_at"))
ACCEPTED_RUNS: Final = Table(
    "telemetry.accepted_runs",
    ("kafka_partition", "first_offset", "last_offset", "received_at", "accepted_by", "repeated", "dead_lettered"),
)
PANES_RAW: Final = Table(
    "telemetry.panes_raw",
    ("metric", "labels", "start", "source_partition", "count", "sum", "buckets", "last_offset", "first_received_at", "version"),
)
FIRST_EXPOSURES_RAW: Final = Table("telemetry.first_exposures_raw", ("subject", "flag", "first_at", "event_id", "variant"))
USER_DAYS_RAW: Final = Table("telemetry.user_days_raw", ("user_id", "since"))
DEAD_LETTERS_RAW: Final = Table(
    "telemetry.dead_letters_raw",
    (
        "kafka_topic",
        "kafka_partition",
        "kafka_offset",
        "failed_at",
        "error_code",
        "reason",
        "event_id",
        "event_type",
        "service",
        "sample",
    ),
)
#: A mark has cleared_offset -1, a clearing row has marked_offset -1.
STALE_HOURS: Final = Table("telemetry.stale_hours", ("kafka_partition", "hour", "marked_offset", "cleared_offset"))
PARTITION_PROGRESS: Final = Table("telemetry.partition_progress", ("kafka_partition", "position", "watermark", "at"))
HOUR_AUDITS: Final = Table("telemetry.hour_audits", ("kafka_partition", "audited_to"))

ALERTS_RAW: Final = _archive(
    "telemetry.alerts_raw",
    "incident_key",
    "transition_id",
    "rule",
    "severity",
    "state",
    "at",
    "since",
    "condition",
    "term",
    "value",
    "threshold",
    "unit",
    "numerator",
    "denominator",
    "window_from",
    "window_to",
    "judged_to",
    "watermark",
    "labels",
    "terms",
    "gates",
    "sql",
    "window_sql",
    "summary",
    "reason",
    "runbook",
    "channels",
    "owner",
    "context",
)
ESCALATIONS_RAW: Final = _archive(
    "telemetry.escalations_raw",
    "incident_key",
    "escalation_id",
    "rule",
    "severity",
    "event",
    "step",
    "target",
    "due_at",
    "at",
    "actor",
    "command_id",
    "reason",
    "plan",
    "alert",
    "group_key",
    "notify",
    "members",
    "members_total",
    "until",
)
DELIVERIES_RAW: Final = _archive(
    "telemetry.deliveries_raw",
    "incident_key",
    "delivery_id",
    "rule",
    "receiver",
    "action",
    "step",
    "intent_at",
    "outcome",
    "attempt",
    "at",
    "http_status",
    "reason",
    "resent",
    "group_key",
    "failover",
    "message_ref",
)
DECISIONS_RAW: Final = _archive(
    "telemetry.decisions_raw",
    "rule",
    "decision_id",
    "kind",
    "at",
    "verdict",
    "previous",
    "reason",
    "incident_key",
    "window_from",
    "window_to",
    "judged_to",
    "terms",
    "gates",
    "labels",
    "state",
    "series",
    "reading",
)

TABLES: Final = (
    EVENTS_RAW,
    COUNTED_EVENTS,
    ACCEPTED_RUNS,
    PANES_RAW,
    FIRST_EXPOSURES_RAW,
    USER_DAYS_RAW,
    DEAD_LETTERS_RAW,
    STALE_HOURS,
    PARTITION_PROGRESS,
    HOUR_AUDITS,
    ALERTS_RAW,
    ESCALATIONS_RAW,
    DELIVERIES_RAW,
    DECISIONS_RAW,
)
