"""One partition of `events.v1`: its state at an offset is a function of the records below it, and nothing else.

`fold` takes the next chunk and says what follows from it; making that durable is the caller's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final, Protocol

from xxhash import xxh3_64_intdigest

from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.clock_skew import clock_skew_ms
from pipeline.aggregation.exposures import Exposure, ExposureKey, exposure
from pipeline.aggregation.owners import partitions_of
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.repeats import RepeatWindow, Verdict
from pipeline.aggregation.retention import ACTIVE_TYPES, UserDay, user_day
from pipeline.aggregation.watermark import clamp, hour_of, oldest_open, pane_start
from schemas.event import AnyEvent, BadEvent, Decoded, FieldError
from schemas.partitioning import event_key
from schemas.timestamps import to_ms

MOVED_FROM: Final = "moved_from"
_CONFLICTING: Final = Verdict.CONFLICT  # an enumeration's members cost a look-up each time they are named
_REPEATING: Final = Verdict.REPEAT
_CONFLICT: Final = (FieldError("event_id", "was used before with other content"),)


class Record(Protocol):
    """What is needed of a Kafka record; `timestamp` is the broker's append time in ms since 1970."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(slots=True)
class Counted:
    """One event that counts: its place in the chunk and what was decided about it."""

    index: int
    event: AnyEvent
    offset: int
    occurred_ms: int
    sent_ms: int
    received_ms: int
    content_hash: int
    clock_skew_ms: int


@dataclass(slots=True)
class Folded:
    """What follows from a chunk. Indices are places in the chunk; `stale` maps an hour to the last late offset in it."""

    counted: list[Counted] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    bad: dict[int, BadEvent] = field(default_factory=dict)
    exposures: dict[ExposureKey, Exposure] = field(default_factory=dict)
    user_days: set[UserDay] = field(default_factory=set)
    stale: dict[int, int] = field(default_factory=dict)
    repeats: int = 0


class PartitionState:
    """`position` is the next offset to fold, `watermark_ms` the highest min(occurred, received) folded."""

    def __init__(self, partition: int, position: int, watermark_ms: int, panes: Panes, repeats: RepeatWindow) -> None:
        self.partition = partition
        self.position = position
        self.watermark_ms = watermark_ms
        self.panes = panes
        self._repeats = repeats

    def fold(self, records: Sequence[Record], decoded: Decoded, next_position: int) -> Folded:
        """Fold the chunk that begins at `position` and ends below `next_position`. After an exception the state must be dropped."""
        folded = Folded(bad=dict(decoded.bad))
        candidates = self._candidates(records, decoded, folded)
        if candidates:
            self._fold_counted(candidates, self._judge(candidates), decoded.violations, folded)
        self.position = next_position
        return folded

    def _candidates(self, records: Sequence[Record], decoded: Decoded, folded: Folded) -> list[Counted]:
        """The valid events that belong here; those of another partition go to `folded.moved`."""
        candidates, keys = [], []
        for i, (record, event, properties) in enumerate(zip(records, decoded.events, decoded.properties, strict=True)):
            if event is None:
                continue
            user_id = event.get("user_id")
            keys.append(event_key(user_id, event.get("session_id"), event["event_id"]))
            sent_ms, received_ms = to_ms(event["occurred_at"]), record.timestamp
            skew_ms = 0 if (at := event.get("sent_at")) is None else clock_skew_ms(at, sent_ms, received_ms, record.headers)
            occurred_ms = clamp(sent_ms + skew_ms, received_ms)
            content = f"{event['event_type']}\0{sent_ms}\0{user_id or ''}\0".encode() + properties
            content_hash = xxh3_64_intdigest(content)
            candidates.append(Counted(i, event, record.offset, occurred_ms, sent_ms, received_ms, content_hash, skew_ms))
        owners = partitions_of(keys)
        if owners.count(self.partition) == len(owners):
            return candidates
        here = [owner == self.partition or _was_moved(records[c.index]) for owner, c in zip(owners, candidates, strict=True)]
        folded.moved += [candidate.index for candidate, stays in zip(candidates, here, strict=True) if not stays]
        return list(compress(candidates, here))

    def _judge(self, candidates: Sequence[Counted]) -> Sequence[Verdict]:
        ids = "".join([c.event["event_id"] for c in candidates])
        return self._repeats.judge(
            bytes.fromhex(ids.replace("-", "")), [c.offset for c in candidates], [c.content_hash for c in candidates]
        )

    def _fold_counted(
        self, candidates: Sequence[Counted], verdicts: Sequence[Verdict], violations: Mapping[int, BadEvent], folded: Folded
    ) -> None:
        fold = self.panes.fold
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            event = candidate.event
            if verdict is _CONFLICTING:
                folded.bad[candidate.index] = _conflict(event)
                continue
            if violations and candidate.index in violations:  # stored, like a dead letter in all else: the mode decides no number
                if verdict is not _REPEATING:
                    folded.counted.append(candidate)
                else:
                    folded.repeats += 1
                continue
            occurred_ms, received_ms = candidate.occurred_ms, candidate.received_ms
            reached_ms = occurred_ms if occurred_ms < received_ms else received_ms
            if reached_ms > self.watermark_ms:  # noqa: PLR1730  `max` would cost as much as the rest of this
                self.watermark_ms = reached_ms
            if verdict is _REPEATING:
                folded.repeats += 1
                continue
            folded.counted.append(candidate)
            start_ms = pane_start(occurred_ms)
            if start_ms < oldest_open(self.watermark_ms):
                folded.stale[hour_of(occurred_ms)] = candidate.offset
            else:
                for metric, labels, value in feeds(event):
                    fold(start_ms, metric, labels, value, candidate.offset, received_ms)
            if event["event_type"] in _FACT_TYPES and not event.get("bot_reasons"):
                _add_facts(event, occurred_ms, folded)


_FACT_TYPES: Final = ACTIVE_TYPES | {"feature_exposure"}


def _add_facts(event: AnyEvent, occurred_ms: int, folded: Folded) -> None:
    event_type = event["event_type"]
    if event_type in ACTIVE_TYPES:
        if (active := user_day(event, occurred_ms)) is not None:
            folded.user_days.add(active)
    elif (fact := exposure(event, occurred_ms)) is not None:
        key, seen = fact
        folded.exposures[key] = min(seen, folded.exposures.get(key, seen))


def _was_moved(record: Record) -> bool:
    return any(name == MOVED_FROM for name, _ in record.headers)


def _conflict(event: Mapping[str, Any]) -> BadEvent:
    return BadEvent("event_id_conflict", _CONFLICT, event["event_id"], event["event_type"], event["source"]["service"])
