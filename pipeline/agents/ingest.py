"""Folds chunks of `events.v1` and collects what follows from them until the next flush takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from aiokafka.structs import ConsumerRecord

from pipeline.agents import metrics
from pipeline.agents.effects import Effects, Progress
from pipeline.agents.rows import accepted_run_row, counted_row, event_row
from pipeline.aggregation.accepted_runs import accepted_runs
from pipeline.aggregation.partition import Folded, PartitionState
from pipeline.aggregation.watermark import oldest_open
from pipeline.runtime.ledger import Chunk, Ledger
from pipeline.runtime.resume import Resume
from schemas.dead_letter import DeadLetter, headers_to_keep, replayed
from schemas.event import MAX_VALUE_BYTES, BadEvent, Decoded, decode

LoadState = Callable[[Resume], Awaitable[PartitionState]]


class Owned:
    """A partition's state and the effects of what was folded since the last flush; bound to the ownership of its first chunk."""

    def __init__(self, state: PartitionState) -> None:
        self.state = state
        self.ledger: Ledger | None = None
        self.pending = Effects()

    def belongs_to(self, ledger: Ledger) -> bool:
        """Whether the state may be flushed for this ownership: it was folded in it, or nothing was folded since it was loaded."""
        return self.ledger is ledger or (self.ledger is None and self.state.position == ledger.expected)


class Ingest:
    """States of the partitions of this worker. Everything here runs between two awaits: a flush never sees half a chunk."""

    def __init__(self, load: LoadState) -> None:
        self._load = load
        self._owned: dict[int, Owned] = {}

    async def resume(self, resume: Resume) -> int:
        """Where to read a newly assigned partition from: where the state stands that is loaded for it."""
        partition = resume.tp.partition
        self._owned.pop(partition, None)  # memory of an earlier ownership, which others may have overtaken
        state = await self._load(resume)
        self._owned[partition] = Owned(state)
        return state.position

    def fold(self, chunk: Chunk) -> None:
        """Fold one chunk, and let go of its records. After an exception the partition's state is gone, and the caller rewinds it."""
        owned = self._owned.pop(chunk.tp.partition, None)
        if owned is None or owned.state.position != chunk.follows_on or owned.ledger not in (None, chunk.ledger):
            raise ValueError(f"{chunk.tp}: the state does not stand at {chunk.follows_on}, where the chunk begins")
        owned.ledger = chunk.ledger
        records = chunk.records
        decoded = decode([record.value or b"" for record in records])
        folded = owned.state.fold(records, decoded, chunk.last_offset + 1)
        self._collect(owned, chunk, decoded, folded)
        chunk.forget_records()
        self._owned[chunk.tp.partition] = owned

    def take(self, partition: int, ledger: Ledger) -> Effects | None:
        """The effects of one partition since the last call, with its panes and progress as they stand now; None if it is not ready."""
        owned = self._owned.get(partition)
        if owned is None or not owned.belongs_to(ledger):
            return None
        state = owned.state
        effects, owned.pending = owned.pending, Effects()
        effects.add_panes(partition, state.panes.changed())
        effects.progress[partition] = Progress(partition, state.position, state.watermark_ms)
        state.panes.forget_before(oldest_open(state.watermark_ms))
        return effects

    def keep_only(self, partitions: Iterable[int]) -> None:
        """Forget the others: what was collected of them is read again by whoever owns them now."""
        self._owned = {partition: self._owned[partition] for partition in partitions if partition in self._owned}

    def _collect(self, owned: Owned, chunk: Chunk, decoded: Decoded, folded: Folded) -> None:
        pending, records = owned.pending, chunk.records
        pending.chunks.append(chunk)
        pending.moved += [records[i] for i in folded.moved]
        partition = chunk.tp.partition
        event_rows, counted_rows = [], []
        for counted in folded.counted:
            i = counted.index
            source_name, violation = decoded.source_names.get(i, ""), decoded.violations.get(i)
            event_rows.append(event_row(counted, decoded.properties[i], partition, source_name, violation))
            counted_rows.append(counted_row(counted, partition))
        pending.event_rows.encode(event_rows)
        pending.counted_rows.encode(counted_rows)
        pending.accepted_rows.encode([accepted_run_row(partition, run) for run in accepted_runs(records, folded)])
        pending.dead_letters += [_dead_letter(records[i], bad) for i, bad in folded.bad.items()]
        pending.add_exposures(folded.exposures.items())
        pending.user_days |= folded.user_days
        pending.stale |= {(partition, hour_ms): offset for hour_ms, offset in folded.stale.items()}
        _count(folded, decoded)


def _dead_letter(record: ConsumerRecord, bad: BadEvent) -> DeadLetter:
    key, value = record.key, record.value or b""
    if len(key or b"") + len(value) > MAX_VALUE_BYTES:  # it came in a compressed batch, and `dlq.v1` need not take it whole
        key, value = key and key[: MAX_VALUE_BYTES // 2], value[:MAX_VALUE_BYTES]
    attempts, origin = replayed(record.headers)
    return DeadLetter(
        kafka_topic=record.topic,
        kafka_partition=record.partition,
        kafka_offset=record.offset,
        failed_at_ms=record.timestamp,
        error_code=bad.code,
        reason=bad.reason,
        event_id=bad.event_id,
        event_type=bad.event_type,
        service=bad.service,
        key=key,
        value=value,
        attempts=attempts,
        origin=origin,
        record_headers=headers_to_keep(record.headers),
    )


def _count(folded: Folded, decoded: Decoded) -> None:
    metrics.EVENTS.labels("counted").inc(len(folded.counted))
    metrics.EVENTS.labels("repeat").inc(folded.repeats)
    metrics.EVENTS.labels("moved").inc(len(folded.moved))
    metrics.LATE.inc(len(folded.stale))
    for violation in decoded.violations.values():
        metrics.VIOLATIONS.labels(violation.event_type).inc()
    for bad in folded.bad.values():
        metrics.DEAD_LETTERS.labels(bad.code).inc()
