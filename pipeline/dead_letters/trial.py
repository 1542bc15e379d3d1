"""Folds letters as a worker would, and writes down what each would bring about instead of doing it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.watermark import hour_of, oldest_open, pane_start
from pipeline.dead_letters.letters import Ready
from pipeline.dead_letters.moves import Effect
from schemas.event import AnyEvent, BadEvent, FieldError
from schemas.timestamps import to_ms

#: (event_type, hour of the time that was sent in ms since 1970, event_id): two copies of an event have the same.
Identity = tuple[str, int, str]

_CONFLICT = FieldError("event_id", "was used before with other content; --fix new-event-id gives it another one")


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    timestamp: int
    headers: Sequence[tuple[str, bytes]]


def identity(event: AnyEvent) -> Identity:
    """What a copy of the event is found by."""
    return event["event_type"], hour_of(to_ms(event["occurred_at"])), event["event_id"]


class Trial:
    """Of one partition, from a state that a worker might have had."""

    def __init__(self, state: PartitionState) -> None:
        self._state, self._watermark_ms = state, state.watermark_ms

    def fold(self, ready: Ready, received_ms: int, first_copies: Mapping[Identity, int]) -> Effect | BadEvent | None:
        """What would follow if the letter were the partition's next record; None for a repeat, which moves nothing.

        Args:
            ready: of this partition.
            received_ms: the stamp it would have.
            first_copies: content hashes of events that are stored, those far back in the log and in other partitions too.
        """
        state, offset = self._state, self._state.position
        state.panes, state.watermark_ms = Panes(), 0  # so its panes are those of this one event, and none of them is closed
        folded = state.fold([_Record(offset, received_ms, ready.headers)], ready.decoded, offset + 1)
        if folded.bad:
            return _conflict(ready)
        if not folded.counted:
            return None
        counted = folded.counted[0]
        stored = first_copies.get(identity(ready.event))
        if stored is not None:
            return None if stored == counted.content_hash else _conflict(ready)
        panes = state.panes.changed()
        if panes:  # an event that breaks its schema, and is stored all the same, moves nothing
            self._watermark_ms = max(self._watermark_ms, min(counted.occurred_ms, received_ms))
        is_late = bool(panes) and pane_start(counted.occurred_ms) < oldest_open(self._watermark_ms)
        return Effect(state.partition, counted, panes, folded.exposures, frozenset(folded.user_days), is_late)


def _conflict(ready: Ready) -> BadEvent:
    return BadEvent("event_id_conflict", (_CONFLICT,), ready.event["event_id"], ready.event["event_type"], ready.event["source"]["service"])
