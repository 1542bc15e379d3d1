"""A pane: the histogram of one series over ten seconds, and the flush that carries panes on `panes.v1`.

Panes are absolute snapshots: a reader keeps, per (metric, labels, start, source_partition), the one with the higher `version`,
and adds panes over partitions and over time.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.timestamps import Timestamp

PANE_MS: Final = 10_000
SCHEMA_VERSION: Final = 1
MILLIONTHS: Final = 1_000_000

#: Bucket of values <= 0; see `pipeline.aggregation.histogram` for the others.
ZERO_BUCKET: Final = -32768


class Pane(BaseModel):
    """One snapshot. `sum` is in millionths of the metric's unit; `buckets` maps decimal bucket index to count.

    `version` is 2 * last_offset from the fold and 2 * (offset read) + 1 from a repair.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    metric: str
    labels: dict[str, str]
    start: Timestamp
    count: Annotated[int, Field(ge=0)]
    sum: int
    buckets: dict[int, int]
    last_offset: int
    version: int


class Flush(BaseModel):
    """What one partition of `events.v1` had to say: panes that changed, and how far its numbers are complete.

    `watermark` is null in a repair's flush and in every part of a split flush but the last.
    `caught_up_at` is the wall time at which everything in the partition had been folded, else null.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = SCHEMA_VERSION
    source_partition: Annotated[int, Field(ge=0)]
    last_offset: int
    watermark: Timestamp | None
    caught_up_at: Timestamp | None
    panes: list[Pane]


def parse_flush(value: bytes) -> Flush:
    """Read one record of `panes.v1`. Raises pydantic.ValidationError for what no worker writes."""
    return Flush.model_validate_json(value)
