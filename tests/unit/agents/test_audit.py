from __future__ import annotations

from pipeline.agents.audit import cut, due
from pipeline.clickhouse.repair_check import Span
from pipeline.clickhouse.state import Progress

HOUR_MS = 3_600_000
NINE = 9 * HOUR_MS
#: 10:14:51: the hour from nine has just closed.
AFTER_NINE = NINE + HOUR_MS + 14 * 60_000 + 51_000


def test_hours_are_due_from_where_the_last_audit_ended_to_the_settled_watermark() -> None:
    """Closed hours of owned partitions, each once, with the events up to where the partition has come."""
    settled = {0: Progress(50, AFTER_NINE), 1: Progress(50, AFTER_NINE), 2: Progress(50, AFTER_NINE), 3: Progress(7, 0)}
    progress = {partition: Progress(60, AFTER_NINE + HOUR_MS) for partition in range(5)}
    audited = {0: NINE, 1: NINE + HOUR_MS}
    assert due([0, 1, 3, 4], settled, audited, progress) == {0: Span(NINE, NINE + HOUR_MS, 60)}
    assert due([2], settled, audited, progress) == {2: Span(0, NINE + HOUR_MS, 60)}


def test_slices_cover_every_span_once() -> None:
    """Cut at some hours, each partition's pieces are its span end to end; a slice nobody reaches into is left out."""
    spans = {0: Span(0, 90, 5), 1: Span(40, 50, 6)}
    assert cut(spans, [20, 45]) == [{0: Span(0, 20, 5)}, {0: Span(20, 45, 5), 1: Span(40, 45, 6)}, {0: Span(45, 90, 5), 1: Span(45, 50, 6)}]
    assert cut({1: Span(40, 50, 6)}, [20]) == [{1: Span(40, 50, 6)}]
    assert cut(spans, []) == [spans]
