"""Each hour that closes is compared once with its events, by one aggregate for many hours; those that differ are folded again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pipeline.agents.repair_panes import batches, closed_to
from pipeline.aggregation.watermark import HOUR_MS
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair_check import Span, known_hours
from pipeline.clickhouse.state import Progress

#: Events compared by one query: about a second of one core of ClickHouse.
MOST_COMPARED: Final = 2_000_000


def due(
    owned: Collection[int], settled: Mapping[int, Progress], audited: Mapping[int, int], progress: Mapping[int, Progress]
) -> dict[int, Span]:
    """Hours to audit, by partition: from the first that was not, to the last that was closed when `settled`.

    An event of such an hour that came later than `settled` is late, and has marked the hour stale. So they are compared up to `progress`,
    which may be further on: up to there stale hours have been repaired.
    """
    spans = {}
    for partition in sorted(owned):
        if partition in settled and settled[partition].watermark_ms:
            from_ms, to_ms = audited.get(partition, 0), closed_to(settled[partition].watermark_ms)
            if from_ms < to_ms:
                spans[partition] = Span(from_ms, to_ms, progress[partition].position)
    return spans


async def in_slices(client: Client, spans: Mapping[int, Span]) -> list[dict[int, Span]]:
    """The spans cut at the same hours, so that no slice but a single hour has more than `MOST_COMPARED` events. Hours without any
    records, and there may be years of them, belong to a slice of their neighbours."""
    from_ms, to_ms = min(span.from_ms for span in spans.values()), max(span.to_ms for span in spans.values())
    if to_ms - from_ms == HOUR_MS:
        return [dict(spans)]
    return cut(spans, [hours_ms[0] for hours_ms in batches(await known_hours(client, spans), MOST_COMPARED)][1:])


def cut(spans: Mapping[int, Span], at_ms: Sequence[int]) -> list[dict[int, Span]]:
    """The spans cut at ascending instants; each slice has those that reach into it."""
    far = max(span.to_ms for span in spans.values())
    slices = []
    for from_ms, to_ms in zip([0, *at_ms], [*at_ms, far], strict=True):
        parts = {
            partition: Span(max(span.from_ms, from_ms), min(span.to_ms, to_ms), span.below_offset)
            for partition, span in spans.items()
            if span.from_ms < to_ms and span.to_ms > from_ms
        }
        if parts:
            slices.append(parts)
    return slices
