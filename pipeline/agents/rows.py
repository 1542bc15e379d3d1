"""Rows of the tables a worker writes, in the column order of `pipeline.clickhouse.tables`; times are seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from pipeline.agents.effects import PaneKey, Progress
from pipeline.aggregation.accepted_runs import AcceptedRun
from pipeline.aggregation.exposures import Exposure, ExposureKey
from pipeline.aggregation.panes import Snapshot, named_labels
from pipeline.aggregation.partition import Counted
from pipeline.aggregation.retention import UserDay
from pipeline.clickhouse.insert import Row
from schemas.dead_letter import DeadLetter
from schemas.event import MAX_VALUE_BYTES, BadEvent

#: Of a dead letter's bytes, so much is kept where analysts look; the whole is on the topic.
SAMPLE_BYTES: Final = 200
_SAMPLE_DEPTH: Final = 8
_SAMPLE_WIDTH: Final = 50
_FIELD_NAME: Final = re.compile(r"[$_]?[A-Za-z][A-Za-z0-9_-]{0,49}")

_NEVER: Final = -1


def event_row(counted: Counted, properties: bytes, partition: int, source_name: str, violation: BadEvent | None) -> Row:
    """A row of `events_raw`."""
    event = counted.event
    source, trace = event["source"], event.get("trace")
    return (
        event["event_id"],
        event["event_type"],
        counted.occurred_ms / 1000,
        counted.received_ms / 1000,
        source["service"],
        source.get("version"),
        source["environment"],
        event.get("user_id"),
        event.get("session_id"),
        trace["trace_id"] if trace else None,
        event.get("flags"),
        properties.decode(),
        partition,
        counted.offset,
        counted.occurred_ms != counted.sent_ms,
        source_name,
        counted.sent_ms / 1000,
        counted.content_hash,
        event.get("bot_reasons"),
        counted.clock_skew_ms,
        violation and [str(error) for error in violation.errors],
    )


def counted_row(counted: Counted, partition: int) -> Row:
    """A row of `counted_events`."""
    return partition, counted.offset, counted.event["event_id"], counted.content_hash, counted.received_ms / 1000


def accepted_run_row(partition: int, run: AcceptedRun) -> Row:
    """A row of `accepted_runs`."""
    received_at = run.received_ms / 1000
    return partition, run.first_offset, run.last_offset, received_at, run.accepted_by, run.repeated, run.dead_lettered


def pane_row(partition: int, snapshot: Snapshot) -> Row:
    """A row of `panes_raw`."""
    return (
        snapshot.metric,
        named_labels(snapshot.metric, snapshot.labels),
        snapshot.start_ms / 1000,
        partition,
        snapshot.count,
        snapshot.sum_millionths,
        snapshot.buckets,
        snapshot.last_offset,
        snapshot.first_received_ms / 1000,
        snapshot.version,
    )


def pane_rows(panes: Mapping[PaneKey, Snapshot]) -> Iterator[Row]:
    """Rows of `panes_raw` for panes by (partition, …)."""
    return (pane_row(key[0], snapshot) for key, snapshot in panes.items())


def exposure_row(key: ExposureKey, exposure: Exposure) -> Row:
    """A row of `first_exposures_raw`."""
    subject, flag = key
    return subject, flag, exposure.first_at_ms / 1000, exposure.event_id, exposure.variant


def user_day_row(active: UserDay) -> Row:
    """A row of `user_days_raw`."""
    user_id, since_ms = active
    return user_id, since_ms // 1000


def dead_letter_row(letter: DeadLetter) -> Row:
    """A row of `dead_letters_raw`. The sample shows field names only: a refused event may hold anything."""
    return (
        letter.kafka_topic,
        letter.kafka_partition,
        letter.kafka_offset,
        letter.failed_at_ms / 1000,
        letter.error_code,
        letter.reason,
        letter.event_id,
        letter.event_type,
        letter.service,
        redacted_sample(letter.value),
    )


def stale_mark_row(partition: int, hour_ms: int, offset: int) -> Row:
    """A row of `stale_hours` that says: a record at `offset` came too late for a pane of this hour."""
    return partition, hour_ms // 1000, offset, _NEVER


def stale_clear_row(partition: int, hour_ms: int, offset: int) -> Row:
    """A row of `stale_hours` that says: everything up to `offset` is in the panes of this hour."""
    return partition, hour_ms // 1000, _NEVER, offset


def audited_row(partition: int, audited_to_ms: int) -> Row:
    """A row of `hour_audits`."""
    return partition, audited_to_ms // 1000


def progress_row(progress: Progress, now_ms: int) -> Row:
    """A row of `partition_progress`."""
    return progress.partition, progress.position, progress.watermark_ms / 1000, now_ms / 1000


def redacted_sample(value: bytes) -> str:
    """The shape of a refused value: names of fields and kinds of what they hold, as far down and across as fits."""
    if len(value) > MAX_VALUE_BYTES:
        return f"{len(value)} bytes"
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return f"{len(value)} bytes that are not JSON"
    return orjson.dumps(_masked(document, 0)).decode()[:SAMPLE_BYTES]


def _masked(value: Any, depth: int) -> Any:
    """Never deeper than a dump may be: what is nested too deep for an event is read all the same."""
    if isinstance(value, dict) and depth < _SAMPLE_DEPTH:
        return {_masked_name(key): _masked(inner, depth + 1) for key, inner in islice(value.items(), _SAMPLE_WIDTH)}
    if isinstance(value, list) and depth < _SAMPLE_DEPTH:
        return [_masked(inner, depth + 1) for inner in value[:3]]
    return type(value).__name__


def _masked_name(name: str) -> str:
    """What looks like no field's name may be anything too, such as the address of a person."""
    return name if _FIELD_NAME.fullmatch(name) else "…"
