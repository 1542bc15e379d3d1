"""Flushes as the engine reads them: only panes of the metrics that rules use, with buckets where they are needed; half the price."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from schemas.pane import Flush
from schemas.partitioning import EVENT_PARTITIONS


def parse_flush_for(value: bytes, metrics: Collection[str], with_buckets: Collection[str] = ()) -> Flush:
    """Read one record of `panes.v1`. Raises ValueError for what no worker writes."""
    try:
        document = orjson.loads(value)
        document["panes"] = [
            pane if pane["metric"] in with_buckets else {**pane, "buckets": {}} for pane in document["panes"] if pane["metric"] in metrics
        ]
        flush = Flush.model_validate(document)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a flush: {error!r}") from None
    if flush.source_partition >= EVENT_PARTITIONS:
        raise ValueError(f"events.v1 has no partition {flush.source_partition}")
    return flush
