"""How many records Kafka has acknowledged, by minute of the broker's stamp, and the events that say so. Pure.

A number is claimed only when it is final. A batch of which nobody knows whether Kafka has it makes the minutes it may belong to unknown:
they are never claimed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from math import inf
from typing import Final

import orjson

from schemas.partitioning import EVENT_PARTITIONS
from schemas.timestamps import isoformat_of

MINUTE_MS: Final = 60_000
#: From the first acknowledgement stamped in a minute to when nothing that is sent can be stamped in it: the minute, and what the clocks
#: of several brokers may differ by.
OVER_AFTER_S: Final = 65.0

_NAMESPACE: Final = uuid.UUID("5b1c2f0e-93a7-4d6e-8f43-0f1a6f1d7c55")
_SOURCE: Final = {"service": "gateway", "environment": "production"}


@dataclass(frozen=True, slots=True)
class Claim:
    """`count` records of the minute from `minute_ms` are accepted by `source`, and Kafka has them below `positions`, by partition.

    There may be several of one minute, which then add up; `sequence` tells them apart.
    """

    source: str
    sequence: int
    minute_ms: int
    count: int
    positions: tuple[int, ...]

    @property
    def event_id(self) -> str:
        """Always the same for the same claim: sent again it is a repeat."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.source} {self.minute_ms} {self.sequence}"))

    def value(self) -> bytes:
        """The `accepted_count` event. It happened when its minute began, which is how the minute is found."""
        occurred_at = isoformat_of(self.minute_ms)
        properties = {"source": self.source, "minute": occurred_at, "count": self.count, "positions": self.positions}
        event = {"event_id": self.event_id, "event_type": "accepted_count", "schema_version": 1, "occurred_at": occurred_at}
        return orjson.dumps({**event, "source": _SOURCE, "properties": properties})


@dataclass(slots=True)
class _Minute:
    began_at: float
    count: int = 0
    positions: list[int] = field(default_factory=lambda: [0] * EVENT_PARTITIONS)


class Acceptance:
    """What one connection to Kafka has had acknowledged; `source` is what its records are marked with. Times are monotonic seconds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._minutes: dict[int, _Minute] = {}
        self._lost_track_at = inf
        self._claims = 0

    def acknowledged(self, partition: int, first_offset: int, records: int, stamp_ms: int, now: float) -> None:
        """Kafka has `records` from `first_offset` on, stamped `stamp_ms`; the answer came `now`."""
        minute = self._minutes.setdefault(stamp_ms // MINUTE_MS * MINUTE_MS, _Minute(now))
        minute.count += records
        minute.positions[partition] = max(minute.positions[partition], first_offset + records)

    def lost_track(self, sent_at: float) -> None:
        """Whether Kafka has the batch that was sent then, and with which stamp, will never be known."""
        self._lost_track_at = min(self._lost_track_at, sent_at)

    def claims(self, unanswered_since: float = inf) -> list[Claim]:
        """Claims of the minutes that are over, each once.

        Args:
            unanswered_since: when the first batch was sent whose answer is still to come, or `now`: a later one may be sent at any
                time. Without it nothing more will be sent, and every minute is over.
        """
        settled_to = min(unanswered_since, self._lost_track_at) - OVER_AFTER_S
        over = [minute_ms for minute_ms, minute in self._minutes.items() if minute.began_at <= settled_to]
        return [self._claim(minute_ms, self._minutes.pop(minute_ms)) for minute_ms in sorted(over)]

    def _claim(self, minute_ms: int, minute: _Minute) -> Claim:
        self._claims += 1
        return Claim(self.source, self._claims, minute_ms, minute.count, tuple(minute.positions))
