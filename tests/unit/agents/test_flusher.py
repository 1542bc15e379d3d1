from __future__ import annotations

import pytest

from pipeline.agents.flusher import interval_s
from pipeline.runtime.settings import Worker


@pytest.mark.parametrize(("folded", "expected_s"), [(0, 0.1), (4_999, 0.1), (5_000, 0.4), (20_000, 0.4)])
def test_a_worker_that_catches_up_flushes_a_quarter_as_often(folded: int, expected_s: float) -> None:
    """Nobody waits for the panes of the past, and each flush encodes every pane it has touched."""
    assert interval_s(folded, Worker(flush_interval_ms=100, flush_records=20_000)) == pytest.approx(expected_s)
