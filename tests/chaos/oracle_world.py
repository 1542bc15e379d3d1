"""Everything the oracle judges, as it was read: plain values, so that a small world can be written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.expected import ErrorRate, Histogram, Latency, PaneKey, WindowKey

#: (partition, offset) in events.v1
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a topic; `timestamp_ms` is the broker's."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> Place:
        return self.partition, self.offset

    def header(self, name: str) -> str | None:
        return next((value.decode() for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class EventRow:
    """A row of the view `events`; absent texts are ''."""

    event_id: str
    event_type: str
    occurred_ms: int
    received_ms: int
    service: str
    user_id: str
    session_id: str
    properties: str
    place: Place
    time_clamped: bool


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """A row of the view `dead_letters` about events.v1."""

    place: Place
    error_code: str
    reason: str
    event_id: str


@dataclass(frozen=True, slots=True)
class World:
    """All of a stack that has come to rest. Rows of views are lists: a key that comes twice is a finding, not an accident.

    stored: distinct (partition, offset, event_id) of `events_raw`. pane_rows: key, source partition, content.
    first_exposures: (subject, flag), (variant, first_at in ms). user_days: (user_id, begin of a part of a day in s), True.
    committed: None where the group has no offset.
    accepted_and_stored: gateway, minute since 1970, accepted, missing.
    alerts_log, flushes: values of alerts.v1 and panes.v1. alerts: rows of the view, `at` left out. slack, pagerduty: requests as recorded.
    unquiet: what had not come to rest in time.
    """

    log: Sequence[Record] = ()
    log_ends: dict[int, int] = field(default_factory=dict)
    committed: dict[int, int | None] = field(default_factory=dict)
    dlq: Sequence[Record] = ()
    flushes: Sequence[bytes] = ()
    alerts_log: Sequence[bytes] = ()
    events: Sequence[EventRow] = ()
    stored: Sequence[tuple[int, int, str]] = ()
    dead_letters: Sequence[DeadLetterRow] = ()
    pane_rows: Sequence[tuple[PaneKey, int, Histogram]] = ()
    error_rate: Sequence[tuple[WindowKey, ErrorRate]] = ()
    error_rate_total: Sequence[tuple[WindowKey, ErrorRate]] = ()
    latency: Sequence[tuple[WindowKey, Latency]] = ()
    latency_total: Sequence[tuple[WindowKey, Latency]] = ()
    first_exposures: Sequence[tuple[tuple[str, str], tuple[str, int]]] = ()
    user_days: Sequence[tuple[tuple[str, int], bool]] = ()
    accepted_and_stored: Sequence[tuple[str, int, int | None, int | None]] = ()
    alerts: Sequence[dict[str, Any]] = ()
    slack: Sequence[dict[str, Any]] = ()
    pagerduty: Sequence[dict[str, Any]] = ()
    with_alerts: bool = True
    unquiet: Sequence[str] = ()
