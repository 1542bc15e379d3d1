from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.agents.flusher import forwarded, interval_s
from pipeline.runtime.settings import Worker
from schemas.partitioning import TEST_VECTORS
from tests.unit.aggregation.test_partition import view
from tests.unit.runtime.records import record


@pytest.mark.parametrize(("folded", "expected_s"), [(0, 0.1), (4_999, 0.1), (5_000, 0.4), (20_000, 0.4)])
def test_a_worker_that_catches_up_flushes_a_quarter_as_often(folded: int, expected_s: float) -> None:
    """Nobody waits for the panes of the past, and each flush encodes every pane it has touched."""
    assert interval_s(folded, Worker(flush_interval_ms=100, flush_records=20_000)) == pytest.approx(expected_s)


@pytest.mark.parametrize(("headers", "first_received"), [([], b"1764000000000"), ([("first_received_at", b"17")], b"17")])
def test_a_forwarded_record_keeps_the_time_it_was_first_received(headers: list[tuple[str, bytes]], first_received: bytes) -> None:
    """Its new stamp may be a day later, and would make a good clock look wrong; whoever forwards it again keeps the first one.

    It is not accepted once more, and no longer says by which gateway: the record at the old place is accounted for.
    """
    user, partition = "u-42", TEST_VECTORS["u-42"][1]
    value = view(1, user_id=user)
    moved = replace(record(5, value), timestamp=1_764_000_000_000, headers=[("traceparent", b"t"), ("accepted_by", b"g"), *headers])
    message = forwarded(moved)
    assert (message.key, message.value, message.partition) == (user.encode(), value, partition)
    assert message.headers is not None
    kept = [header for header in message.headers if header[0] != "first_received_at"]
    assert kept == [("traceparent", b"t"), ("moved_from", b"3")]
    assert [time for name, time in message.headers if name == "first_received_at"] == [first_received]
