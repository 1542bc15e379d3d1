from __future__ import annotations

from pipeline.agents.flushes import MAX_FLUSH_BYTES, flush_values
from pipeline.aggregation.panes import Snapshot
from schemas.pane import parse_flush
from schemas.timestamps import from_ms

START = 1_764_000_000_000


def pane(page: str) -> Snapshot:
    return Snapshot("web_vital", ("LCP", page, "good"), START, 3, 4_500_000, {-1: 1, 31: 2}, 7, START, 14)


def test_a_flush_reads_as_the_contract_says() -> None:
    """Labels by name, instants as text, buckets under decimal strings."""
    (value,) = flush_values(3, 9, START + 1_234, None, [pane("/a")])
    assert value == (
        b'{"schema_version":1,"source_partition":3,"last_offset":9,"watermark":"2025-11-24T16:00:01.234Z","caught_up_at":null,'
        b'"panes":[{"metric":"web_vital","labels":{"name":"LCP","page":"/a","rating":"good"},"start":"2025-11-24T16:00:00.000Z",'
        b'"count":3,"sum":4500000,"buckets":{"-1":1,"31":2},"last_offset":7,"version":14}]}'
    )


def test_a_large_flush_is_split_and_only_its_last_part_says_how_far_it_is() -> None:
    """Every part fits; nothing is lost; the watermark comes only when all panes before it have."""
    panes = [pane(f"/{number}/{'x' * 1_000}") for number in range(2_000)]
    values = flush_values(3, 9, START, START + 5, panes)
    flushes = [parse_flush(value) for value in values]
    assert len(values) > 1
    assert all(len(value) < MAX_FLUSH_BYTES + 10_000 for value in values)
    assert sum(len(flush.panes) for flush in flushes) == 2_000
    assert [flush.watermark for flush in flushes] == [None] * (len(values) - 1) + [from_ms(START)]
    assert [flush.caught_up_at for flush in flushes] == [None] * (len(values) - 1) + [from_ms(START + 5)]


def test_an_idle_partition_still_says_how_far_it_is() -> None:
    """Without panes there is one flush, with the watermark and the time at which all was folded."""
    (value,) = flush_values(0, -1, None, START, [])
    flush = parse_flush(value)
    assert (flush.panes, flush.watermark, flush.caught_up_at) == ([], None, from_ms(START))
