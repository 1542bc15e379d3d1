"""How a partition's snapshots become records of `panes.v1`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import Any, Final

import orjson

from pipeline.aggregation.panes import Snapshot, named_labels
from schemas.pane import SCHEMA_VERSION
from schemas.timestamps import isoformat_of

#: A larger flush is split, so that every part fits a record with room for the envelope.
MAX_FLUSH_BYTES: Final = 900_000


def flush_values(
    source_partition: int, last_offset: int, watermark_ms: int | None, caught_up_at_ms: int | None, snapshots: Sequence[Snapshot]
) -> list[bytes]:
    """Values for `panes.v1`, in the order they must be written: only the last one carries watermark and caught_up_at."""
    parts = _parts([_pane(snapshot) for snapshot in snapshots])
    complete = (_instant(watermark_ms), _instant(caught_up_at_ms))
    ends = [(None, None)] * (len(parts) - 1) + [complete]
    return [_flush(source_partition, last_offset, *end, part) for part, end in zip(parts, ends, strict=True)]


def _parts(panes: Sequence[dict[str, Any]]) -> list[bytes]:
    """Arrays of the panes, in order; as many as it takes to have none larger than a flush may be."""
    text = orjson.dumps(panes, option=orjson.OPT_NON_STR_KEYS)
    if len(text) <= MAX_FLUSH_BYTES or len(panes) == 1:
        return [text]
    in_one = ceil(len(panes) / ceil(len(text) / MAX_FLUSH_BYTES))
    return [part for start in range(0, len(panes), in_one) for part in _parts(panes[start : start + in_one])]


def _flush(source_partition: int, last_offset: int, watermark: str | None, caught_up_at: str | None, panes: bytes) -> bytes:
    return orjson.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "source_partition": source_partition,
            "last_offset": last_offset,
            "watermark": watermark,
            "caught_up_at": caught_up_at,
            "panes": orjson.Fragment(panes),
        }
    )


def _pane(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "metric": snapshot.metric,
        "labels": named_labels(snapshot.metric, snapshot.labels),
        "start": _pane_start(snapshot.start_ms),
        "count": snapshot.count,
        "sum": snapshot.sum_millionths,
        "buckets": snapshot.buckets,
        "last_offset": snapshot.last_offset,
        "version": snapshot.version,
    }


@lru_cache(maxsize=1024)
def _pane_start(start_ms: int) -> str:
    return isoformat_of(start_ms)


def _instant(ms: int | None) -> str | None:
    return None if ms is None else isoformat_of(ms)
