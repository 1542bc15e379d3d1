"""What a worker counts about its own work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("nutricoach_worker_events_total", "Events folded, by what was decided: counted, repeat, moved.", ["decision"])
LATE = Counter("nutricoach_worker_stale_marks_total", "Hours marked for repair because an event came after its pane had closed.")
DEAD_LETTERS = Counter("nutricoach_worker_dead_letters_total", "Records refused, by reason.", ["error_code"])
VIOLATIONS = Counter(
    "nutricoach_worker_schema_violations_total",
    "Records read that break a schema which is not enforced, by type.",
    ["event_type"],
)
FLUSHES = Histogram(
    "nutricoach_worker_flush_duration_seconds", "Time of one flush, by step.", ["step"], buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
)
PANES = Counter("nutricoach_worker_panes_total", "Pane snapshots published.")
WAREHOUSE_AWAY = Gauge("nutricoach_worker_warehouse_away", "1 while ClickHouse does not take rows and panes go on without it.")
LET_GO = Counter("nutricoach_worker_let_go_total", "Times that effects ClickHouse did not take were let go of, to be read again.")
REPAIRS = Counter(
    "nutricoach_worker_repairs_total",
    "Closed partition-hours that were not what their events say and were repaired, by cause: late events; what an audit found: missing, "
    "repeat, repeat_elsewhere (its first copy is on another partition), extra, different; refused: too old, or with events that "
    "cannot be folded.",
    ["cause"],
)
REPAIRED_PANES = Counter("nutricoach_worker_repaired_panes_total", "Panes a repair changed.", ["cause"])
ARCHIVED = Counter("nutricoach_worker_archived_records_total", "Records of alert topics written to ClickHouse.", ["topic"])
